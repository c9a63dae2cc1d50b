"""Convolutions and products of quantized tensors whose output is float, only for the next kernel to quantize it."""

from __future__ import annotations

from collections.abc import Iterator

from core.analysis.finding import Finding, FindingKind
from core.analysis.kernels import FLOATS, brings_to_quantized, computes_quantized, nodes_of
from core.analysis.traffic import Moved, Traffic
from core.base.dtypes import bits
from core.base.units import listed, plural, size
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor


def find(graph: EngineGraph, traffic: Traffic) -> Iterator[Finding]:
    pairs = list(_between(graph))
    if not pairs:
        return
    layers = [layer for layer, _, _ in pairs]
    tensors = [tensor for _, tensor, readers in pairs for _ in range(1 + len(readers))]
    moved = traffic.tensors(tensors)
    wide = sorted({str(tensor.dtype) for tensor in tensors})
    narrow = sorted({str(layer.inputs[0].dtype) for layer in layers})
    compute = plural(len(layers), "layer computes", "layers compute")
    write = "writes" if len(layers) == 1 else "write"
    yield Finding(
        kind=FindingKind.FLOAT_BETWEEN,
        message=f"{compute} in {listed(narrow, 3)} and {write} {listed(wide, 3)}, which the next kernel only quantizes: "
        f"{moved.told('are written and read in between')}{_if_narrow(tensors, traffic, moved, narrow)}.",
        hint="Float between two quantized layers costs two to four times the bytes that the quantized type would.",
        layers=tuple(layer.name for layer in layers),
        nodes=nodes_of(graph, layers),
        moved=moved,
    )


def _between(graph: EngineGraph) -> Iterator[tuple[Layer, LayerTensor, list[Layer]]]:
    """Each such layer with its output and the kernels that quantize it."""
    readers: dict[str, list[Layer]] = {}
    for layer in graph.layers:
        for name in dict.fromkeys(tensor.name for tensor in layer.inputs):
            readers.setdefault(name, []).append(layer)
    for layer in graph.layers:
        if not computes_quantized(layer) or len(layer.outputs) != 1 or layer.outputs[0].dtype not in FLOATS:
            continue
        found = readers.get(layer.outputs[0].name, [])
        if found and all(brings_to_quantized(reader) for reader in found):
            yield layer, layer.outputs[0], found


def _if_narrow(tensors: list[LayerTensor], traffic: Traffic, moved: Moved, narrow: list[str]) -> str:
    """What it would be in the quantized type, where all sizes are told."""
    counts = [traffic.elements(tensor) for tensor in tensors]
    if moved.untold or None in counts:
        return ""
    width = max(bits(name) for name in narrow)
    return f", {size(sum(count or 0 for count in counts) * width // 8)} if they were {listed(narrow, 3)}"
