"""What an engine takes of memory: its parts, N contexts, the builder's own layers, and the bytes that each layer moves.

Nothing here is measured: totals are the builder's or the engine's own, bytes of tensors come from their shapes and types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.analysis.traffic import moves
from core.base.dtypes import array_bytes
from core.base.units import NOT_TOLD, size
from core.graph.engine_graph import EngineGraph, LayerTensor
from core.graph.memory import EngineMemory

CONTEXTS = (1, 2, 4, 8)
WEIGHTS, ACTIVATIONS, SCRATCH, DEVICE, HOST = "Weights", "Activations", "Scratch", "Device persistent", "Host persistent"
_BLOCK = "{ForeignNode["


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One kind of memory.

    Attributes:
        bytes: None when not told.
        meaning: Where it lies, for how long, and what is in it.
    """

    name: str
    bytes: int | None
    meaning: str


def parts(memory: EngineMemory) -> tuple[Part, ...]:
    """The kinds of memory that a builder tells of an engine."""
    return (
        Part(name=WEIGHTS, bytes=memory.weights_bytes, meaning="On the GPU, loaded once for all contexts."),
        Part(
            name=ACTIVATIONS,
            bytes=memory.activation_bytes,
            meaning="On the GPU, for each context: tensors between layers and scratch, which share it, at the profile's largest "
            "shapes.",
        ),
        Part(
            name=SCRATCH,
            bytes=memory.scratch_bytes,
            meaning="Inside the activations: the largest that one of the builder's layers asks for while it runs.",
        ),
        Part(name=DEVICE, bytes=memory.device_persistent_bytes, meaning="On the GPU, for each context, as long as it lives."),
        Part(
            name=HOST,
            bytes=memory.host_persistent_bytes,
            meaning="In the computer's memory, for each context, as long as it lives.",
        ),
    )


def told(count: int | None) -> str:
    """Bytes as text; "not told" where they are not."""
    return NOT_TOLD if count is None else size(count)


# Columns of a comparison: their heads, and the bytes of each.
COLUMNS = ("weights", "activations", "with one context")


def columns_of(memories: Sequence[EngineMemory | None]) -> tuple[str, ...]:
    """The memory columns of a table of builds; none where no build tells any."""
    return COLUMNS if any(memories) else ()


def cells_of(memory: EngineMemory | None) -> tuple[str, ...]:
    """A build's cells under them."""
    if memory is None:
        return (NOT_TOLD,) * len(COLUMNS)
    return told(memory.weights_bytes), told(memory.activation_bytes), told(memory.device_bytes(1))


def memory_text(memory: EngineMemory) -> str:
    """An engine's memory in a sentence."""
    if memory.weights_bytes is None or memory.context_bytes is None:
        lacking = [
            part.name.lower() for part in parts(memory) if part.bytes is None and part.name in (WEIGHTS, ACTIVATIONS, DEVICE)
        ]
        return f"Not all of its memory is told, so there is no sum: {', '.join(lacking)} not told."
    return (
        f"{size(memory.device_bytes(1))} of the GPU's memory with one context: {size(memory.weights_bytes)} of weights, loaded "
        f"once, and {size(memory.context_bytes)} for each context."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRow:
    """What an engine takes with so many contexts.

    Attributes:
        weights_bytes: On the GPU, the same for any number.
        contexts_bytes: On the GPU, activations and device persistent memory of all contexts.
        device_bytes: Both together; None where one of them is not told.
        host_bytes: In the computer's memory.
    """

    contexts: int
    weights_bytes: int | None
    contexts_bytes: int | None
    device_bytes: int | None
    host_bytes: int | None


def context_rows(memory: EngineMemory, counts: Iterable[int] = CONTEXTS) -> list[ContextRow]:
    """A row for each number of contexts, in rising order: weights + N x (activations + device persistent)."""
    each, host = memory.context_bytes, memory.host_persistent_bytes
    return [
        ContextRow(
            contexts=count,
            weights_bytes=memory.weights_bytes,
            contexts_bytes=None if each is None else count * each,
            device_bytes=memory.device_bytes(count),
            host_bytes=None if host is None else count * host,
        )
        for count in sorted(set(counts))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderLayer:
    """What the builder tells of one of its own layers.

    Attributes:
        position: Of the engine's layer of that name, from 1; None where the engine's layers are kernels of it.
        is_block: It stands for many kernels, which the builder compiled in one piece.
        profile: Of several, the one that it belongs to, 0 for the first.
    """

    name: str
    position: int | None
    is_block: bool
    profile: int | None
    scratch_bytes: int
    device_persistent_bytes: int
    host_persistent_bytes: int


def builder_layers(graph: EngineGraph) -> list[BuilderLayer]:
    """The builder's own layers that ask for memory, those with most scratch first."""
    positions = {layer.name: position for position, layer in reversed([*enumerate(graph.layers, 1)])}
    found = [
        BuilderLayer(
            name=one.layer,
            position=positions.get(one.layer),
            is_block=_BLOCK in one.layer,
            profile=one.profile,
            scratch_bytes=one.scratch_bytes,
            device_persistent_bytes=one.device_persistent_bytes,
            host_persistent_bytes=one.host_persistent_bytes,
        )
        for one in (graph.memory.layers if graph.memory else ())
    ]
    return sorted(found, key=lambda one: one.scratch_bytes, reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBytes:
    """The bytes of a layer's tensors, each counted once; what a layout adds as padding is not counted.

    Attributes:
        position: In execution order, from 1.
        profile: As `Layer.profile`.
        inputs, outputs: At the usual lengths of open axes; None where the shape or type of one is not told.
        constants: Of what it reads that lies in the engine; None when not told.
    """

    position: int
    name: str
    kind: str
    profile: int | None
    inputs: int | None
    constants: int | None
    outputs: int | None

    @property
    def total(self) -> int | None:
        """What the layer reads and writes; None where a part is not told."""
        return sum_told((self.inputs, self.constants, self.outputs))


def layer_bytes(graph: EngineGraph) -> list[LayerBytes]:
    """A row for each layer that moves anything, in execution order."""
    return [
        LayerBytes(
            position=position,
            name=layer.name,
            kind=layer.kind,
            profile=layer.profile,
            inputs=_together(layer.inputs),
            constants=layer.weight_bytes,
            outputs=_together(layer.outputs),
        )
        for position, layer in enumerate(graph.layers, 1)
        if moves(layer)
    ]


def _together(tensors: Sequence[LayerTensor]) -> int | None:
    return sum_told(array_bytes(tensor.shape, tensor.dtype) for tensor in {tensor.name: tensor for tensor in tensors}.values())


def sum_told(sizes: Iterable[int | None]) -> int | None:
    """The sum; None where one is not told."""
    total = 0
    for one in sizes:
        if one is None:
            return None
        total += one
    return total


def moved_texts(rows: Sequence[LayerBytes]) -> list[str]:
    """How many layers tell what they move, and how much that is: a sentence for each profile, as a run has the layers of one."""
    profiles: list[int | None] = [*sorted({row.profile for row in rows if row.profile is not None})] or [None]
    found = [(profile, [row for row in rows if row.profile == profile]) for profile in profiles]
    return [f"{'Layers' if profile is None else f'Layers of profile {profile}'}: {_moved(own)}" for profile, own in found]


def _moved(rows: Sequence[LayerBytes]) -> str:
    known = [row.total for row in rows if row.total is not None]
    if not any(known):
        return f"none of {len(rows):,} tells all that it reads and writes."
    which = "all" if len(known) == len(rows) else f"{len(known):,} of"
    return f"{which} {len(rows):,} read and write {size(sum(known))} together."
