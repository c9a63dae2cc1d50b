"""Kernels where floats of two widths meet: what was kept wider than the rest, and what that moves."""

from __future__ import annotations

from collections.abc import Iterator

from core.analysis.finding import Finding, FindingKind
from core.analysis.kernels import FLOATS, computes_quantized, mixes_floats, nodes_of, only_casts
from core.analysis.traffic import Traffic
from core.base.units import plural
from core.graph.engine_graph import EngineGraph, Layer

HINT = "Neighbours in one type need no cast, and move half the bytes where that type is FP16 or BF16."


def find(graph: EngineGraph, traffic: Traffic) -> Iterator[Finding]:
    inner = _inner_tensors(graph)
    layers = [layer for layer in graph.layers if mixes_floats(layer) and _touches_wide(layer, inner)]
    if not layers:
        return
    met = {str(tensor.dtype) for layer in layers for tensor in (*layer.inputs, *layer.outputs) if tensor.dtype in FLOATS}
    types = [name for name in FLOATS if name in met]
    casts = sum(only_casts(layer) for layer in layers)
    wide = traffic.tensors(
        tensor
        for layer in layers
        for tensor in (*layer.inputs, *layer.outputs)
        if tensor.dtype == types[0] and tensor.name in inner
    )
    nothing_else = f", {casts} of them only to cast" if casts else ""
    yield Finding(
        kind=FindingKind.MIXED,
        message=f"{plural(len(layers), 'kernel')} of {len(traffic.layers)} {'stands' if len(layers) == 1 else 'stand'} between "
        f"{' and '.join(types)}{nothing_else}; {wide.told(f'are moved in {types[0]} between layers')}.",
        hint=HINT,
        layers=tuple(layer.name for layer in layers),
        nodes=nodes_of(graph, layers),
        moved=wide,
    )


def _inner_tensors(graph: EngineGraph) -> set[str]:
    """Those that one layer writes and another reads, but for what quantized convolutions write, which is a matter of its own."""
    read = {tensor.name for layer in graph.layers for tensor in layer.inputs}
    return {
        tensor.name for layer in graph.layers if not computes_quantized(layer) for tensor in layer.outputs if tensor.name in read
    }


def _touches_wide(layer: Layer, inner: set[str]) -> bool:
    floats = [tensor for tensor in (*layer.inputs, *layer.outputs) if tensor.dtype in FLOATS]
    widest = min((FLOATS.index(str(tensor.dtype)) for tensor in floats), default=0)
    return any(FLOATS.index(str(tensor.dtype)) == widest and tensor.name in inner for tensor in floats)
