"""Kernels that only bring tensors to a quantized type or back, where a convolution or product could have done it itself."""

from __future__ import annotations

from collections.abc import Iterator

from core.analysis.finding import Finding, FindingKind
from core.analysis.kernels import brings_from_quantized, brings_to_quantized, nodes_of
from core.analysis.traffic import Traffic
from core.base.units import listed, plural
from core.graph.engine_graph import EngineGraph, Layer

HINT = (
    "A builder that lets convolutions write the quantized type needs none of them: what they do is the end of the convolution "
    "before. Here each reads its tensor, and writes it again."
)


def kernels_apart(graph: EngineGraph) -> list[Layer]:
    """The kernels that do nothing else."""
    return [layer for layer in graph.layers if brings_to_quantized(layer) or brings_from_quantized(layer)]


def find(graph: EngineGraph, traffic: Traffic) -> Iterator[Finding]:
    layers = kernels_apart(graph)
    if not layers:
        return
    narrow = sorted({tensor.dtype for layer in layers for tensor in layer.outputs if tensor.dtype} & _narrow(layers))
    moved = traffic.of(layers)
    of_all = f" of the {traffic.total.text} that all layers do" if traffic.total.bytes and not traffic.total.untold else ""
    one = len(layers) == 1
    do, work = ("carries", "it scales, adds, clips") if one else ("carry", "they scale, add, clip")
    read = f"{'It reads' if one else 'They read'} and write{'s' if one else ''} {moved.text}{of_all}"
    yield Finding(
        kind=FindingKind.QUANTIZING,
        message=f"{plural(len(layers), 'kernel')} of {len(traffic.layers)} {do} out no convolution or product: {work} "
        f"and bring{'s' if one else ''} tensors to {listed(narrow, 3) or 'float'} or back. "
        f"{read if moved.known is not None else 'How much that moves is not told'}.",
        hint=HINT,
        layers=tuple(layer.name for layer in layers),
        nodes=nodes_of(graph, layers),
        moved=moved,
    )


def _narrow(layers: list[Layer]) -> set[str | None]:
    return {tensor.dtype for layer in layers if brings_to_quantized(layer) for tensor in layer.outputs}
