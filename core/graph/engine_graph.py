"""The engine graph's value types: layers, and where every source node went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from core.graph.memory import EngineMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTensor:
    """A tensor between layers.

    Attributes:
        shape: At the profile's opt point; None when neither the runtime nor the source graph tells.
        dtype: NumPy's name of the element type, None when unknown.
        format: The memory layout as the runtime names it.
        lengths: Where an engine leaves lengths open, those it tells and None for each that is open; None where it tells all.
    """

    name: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    format: str | None = None
    lengths: tuple[int | None, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One thing that the engine executes.

    Attributes:
        name: Unique within the graph.
        kind: The runtime's own word for the operation ("Convolution", "CaskConvolution", "FusedMatMul").
        kernel: The implementation chosen ("brgconv_avx512_1x1", a tactic), None when not told.
        precision: What it computes in ("float32", "float16", "int8"), None when not told.
        time_ms: Mean milliseconds a run in a separate profiled run, None when not measured.
        source_nodes: Names of the source nodes carried out here, in source order.
        stream: Of the streams that an engine runs layers on at once, the one it runs on, 0 for the first; None when not told.
        event: What it signals or waits for, for layers that do only that.
        weight_bytes: Of the constants that it reads, as they lie in the engine; None when not told.
        profile: Of an engine's several optimization profiles, the one whose runs execute it, 0 for the first; None where there is
            but one, or it is not told.
        attributes: Whatever else the runtime tells, for the detail view.
    """

    name: str
    kind: str
    kernel: str | None = None
    precision: str | None = None
    inputs: tuple[LayerTensor, ...] = ()
    outputs: tuple[LayerTensor, ...] = ()
    time_ms: float | None = None
    source_nodes: tuple[str, ...] = ()
    stream: int | None = None
    event: int | None = None
    weight_bytes: int | None = None
    profile: int | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNode:
    """A node of the graph that the backend was given (ONNX, TensorFlow, TFLite).

    Attributes:
        requested: The type that this graph asks it to compute in ("int8"), None when not known for each node or no matter.
        own: The type that it computes in in the graph itself, before any precision is asked for; "" where that is no precision
            (booleans, indices, branches that hold nodes of their own), None when not known.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    requested: str | None = None
    own: str | None = None


class Fate(str, Enum):
    """Why a source node is in no layer."""

    FOLDED = "folded"  # computed at build time: its inputs are constants
    ELIMINATED = "eliminated"  # a no-op in this engine: identity, cast to the same type, dead branch
    UNMAPPED = "unmapped"  # we could not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseNode:
    """A source node that no layer carries, and why."""

    name: str
    op: str
    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineGraph:
    """Layers in execution order; every source node is in a layer's `source_nodes` or in `loose_nodes`.

    Attributes:
        memory: None where the runtime tells none.
    """

    layers: tuple[Layer, ...]
    source_nodes: tuple[SourceNode, ...]
    loose_nodes: tuple[LooseNode, ...] = ()
    notes: tuple[str, ...] = ()
    memory: EngineMemory | None = None

    def with_times(self, times: Mapping[str, float]) -> EngineGraph:
        """The same graph with each layer's milliseconds by its name."""
        return replace(self, layers=tuple(replace(layer, time_ms=times.get(layer.name)) for layer in self.layers))

    @property
    def fused_layers(self) -> tuple[Layer, ...]:
        """The layers that carry out more than one source node."""
        return tuple(layer for layer in self.layers if len(layer.source_nodes) > 1)

    @property
    def unmapped(self) -> tuple[LooseNode, ...]:
        return tuple(node for node in self.loose_nodes if node.fate is Fate.UNMAPPED)

    @property
    def kinds(self) -> dict[str, int]:
        return dict(Counter(layer.kind for layer in self.layers).most_common())
