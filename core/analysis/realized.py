"""Requested against realized: which precision each source node was asked for, and which one the engine ran it in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.analysis.layers import sum_times, total_time_ms
from core.base.precision import Precision
from core.base.units import listed, plural
from core.graph.engine_graph import EngineGraph, Layer

# What is not here (integers for indices, booleans) is no matter of precision.
_BITS = {"float64": 64, **{precision.facts.dtype: precision.facts.bits for precision in Precision}}
_ALIASES = {
    "uint8": "int8",
    "float8_e5m2": "float8_e4m3fn",
    "float8_e4m3fnuz": "float8_e4m3fn",
    "float8_e5m2fnuz": "float8_e4m3fn",
}
# A runtime tells TF32 as FP32, as tensors have no other type, and may compute wider than single precision.
_ALIKE = {("tf32", "float32"), ("tf32", "float64"), ("float32", "float64")}
_QUANTIZED_TYPES = {precision.facts.dtype for precision in Precision if precision.quantizes}
_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear", "QUANTIZE", "DEQUANTIZE", "FakeQuantize")
_NAMED = 3  # nodes that a warning names
_SMALL = 0.01  # a share of the time that is worth no warning


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrecision:
    """One source node.

    Attributes:
        realized: None when the engine does not tell, or the node is in no layer.
        layer: Where it went, None when it is in none.
        share: Of the profiled time that its layer took, split evenly over the layer's nodes; None when not measured.
    """

    node: str
    requested: str
    realized: str | None
    layer: str | None
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPair:
    """All layers that were asked for in one precision and ran in one.

    Attributes:
        as_asked: They ran as the build wanted it, or in a narrower type that it allows.
        layers, nodes: Names.
        share: Of the profiled time; None when not measured.
    """

    requested: str
    realized: str
    as_asked: bool
    layers: tuple[str, ...]
    nodes: tuple[str, ...]
    share: float | None

    @property
    def warning(self) -> str:
        """A sentence that names the first nodes."""
        spent = "" if self.share is None else f", {self.share:.0%} of the time"
        what = "1 layer" if len(self.layers) == 1 else f"{len(self.layers)} layers"
        named = f"{'node' if len(self.nodes) == 1 else 'nodes'} {listed(self.nodes, _NAMED)}"
        return f"{what} asked for in {self.requested} ran in {self.realized}{spent}: {named}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Realized:
    """The comparison.

    Attributes:
        nodes: Every node that a precision was asked for, those in several layers once for each.
        pairs: Layers by what they were asked for and ran in, most time first; layers that do not tell are in none.
        agreeing: Of the nodes whose layer tells its precision, the share that ran as asked; None when none tells.
        agreeing_time: The same by profiled time.
    """

    nodes: tuple[NodePrecision, ...]
    pairs: tuple[PrecisionPair, ...]
    agreeing: float | None
    agreeing_time: float | None

    @property
    def disagreements(self) -> tuple[PrecisionPair, ...]:
        """Those that ran otherwise than asked, for more than a trifle of the time."""
        odd = (pair for pair in self.pairs if not pair.as_asked)
        return tuple(pair for pair in odd if pair.share is None or pair.share >= _SMALL)

    @property
    def summary(self) -> str:
        """How much ran as asked, in a phrase; empty when no layer tells."""
        if self.agreeing is None:
            return ""
        time = "" if self.agreeing_time is None else f", {self.agreeing_time:.0%} of the time"
        silent = sum(node.realized is None for node in self.nodes)
        besides = f"; {silent} of {plural(len(self.nodes), 'node')} are in layers that do not tell" if silent else ""
        return f"{self.agreeing:.0%} of the nodes ran as asked{time}{besides}"


def compare_precisions(graph: EngineGraph, precision: Precision | None = None) -> Realized:
    """Compares what was asked with the layers' own precision.

    A layer is judged by the narrowest type among its nodes, as a ReLU fused into an INT8 convolution is not asked for on its
    own. A node in several layers, one of which ran as it was asked to, says nothing of the others: a product in INT8 may leave
    its bias to the next kernel. Nor is it odd when a layer takes over the quantized type that the graph asks for elsewhere:
    runtimes move Q and DQ past pooling and transposes. And a build in INT8 or FP8 leaves the rest free to run in FP16.

    Args:
        graph: The engine's layers, with times where they were measured.
        precision: The build's; asked of every node where the graph that was built does not tell for each.
    """
    asked = {node.name: node.requested for node in graph.source_nodes if node.requested}
    if not asked and precision is not None:
        asked = dict(_asked_of_all(graph, precision))
    allowed = set(asked.values()) & _QUANTIZED_TYPES | ({"float16"} if precision and precision.quantizes else set())
    if any(node.op in _QUANTIZERS for node in graph.source_nodes):
        allowed.add("int8")
    total = total_time_ms(graph)
    inside = {layer.name: tuple(name for name in layer.source_nodes if name in asked) for layer in graph.layers}
    as_asked = {name for layer in graph.layers for name in inside[layer.name] if _plain(layer.precision) == asked[name]}
    groups: dict[tuple[str, str], list[Layer]] = {}
    for layer in graph.layers:
        realized = _plain(layer.precision)
        if inside[layer.name] and realized in _BITS:
            own = [name for name in inside[layer.name] if name not in as_asked or asked[name] == realized]
            wanted = min((asked[name] for name in own), key=_BITS.__getitem__, default=realized)
            groups.setdefault((wanted, realized), []).append(layer)
    pairs = [
        PrecisionPair(
            requested=wanted,
            realized=realized,
            as_asked=_as_asked(wanted, realized, allowed),
            layers=tuple(layer.name for layer in layers),
            nodes=tuple(name for layer in layers for name in inside[layer.name]),
            share=sum_times(layer.time_ms / total if layer.time_ms is not None else None for layer in layers) if total else None,
        )
        for (wanted, realized), layers in groups.items()
    ]
    told = sum(len(pair.nodes) for pair in pairs)
    timed = sum_times(pair.share for pair in pairs)
    return Realized(
        nodes=tuple(_nodes(graph, asked, inside, total)),
        pairs=tuple(sorted(pairs, key=lambda pair: (pair.share or 0.0, len(pair.nodes)), reverse=True)),
        agreeing=sum(len(pair.nodes) for pair in pairs if pair.as_asked) / told if told else None,
        agreeing_time=sum(pair.share or 0.0 for pair in pairs if pair.as_asked) / timed if timed else None,
    )


def _asked_of_all(graph: EngineGraph, precision: Precision) -> Iterator[tuple[str, str]]:
    """What a build asks of nodes where its graph does not say it: its own precision of each that computes in floats.

    A graph that is bfloat16 or INT8 by itself asks for that where a build in FP32 takes it as it is. What computes in booleans or
    indices, and what runs graphs of its own, is asked for nothing.
    """
    for node in graph.source_nodes:
        own = None if node.own is None else _plain(node.own)
        if own is None or own in _BITS:
            keeps = own is not None and (not precision.in_graph or own in _QUANTIZED_TYPES)
            yield node.name, own if own and keeps else precision.facts.dtype


def _nodes(
    graph: EngineGraph, asked: Mapping[str, str], inside: Mapping[str, Sequence[str]], total: float | None
) -> Iterator[NodePrecision]:
    for layer in graph.layers:
        share = layer.time_ms / total / len(inside[layer.name]) if total and layer.time_ms and inside[layer.name] else None
        for name in inside[layer.name]:
            yield NodePrecision(
                node=name, requested=asked[name], realized=_plain(layer.precision) or None, layer=layer.name, share=share
            )
    placed = {name for names in inside.values() for name in names}
    for name, kind in asked.items():
        if name not in placed:
            yield NodePrecision(node=name, requested=kind, realized=None, layer=None, share=None)


def _as_asked(wanted: str, realized: str, allowed: set[str]) -> bool:
    narrower = _BITS[realized] < _BITS[wanted]
    return realized == wanted or (wanted, realized) in _ALIKE or (narrower and realized in allowed)


def _plain(precision: str | None) -> str:
    return _ALIASES.get(precision, precision) if precision else ""
