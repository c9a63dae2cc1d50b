"""Depthwise convolutions that read each channel padded to several, as quantized kernels for groups of one channel are rare."""

from __future__ import annotations

from collections.abc import Iterator

from core.analysis.finding import Finding, FindingKind
from core.analysis.kernels import QUANTIZED, brings_to_quantized, computes_quantized, nodes_of
from core.analysis.traffic import Traffic
from core.base.units import plural
from core.graph.engine_graph import EngineGraph, Layer

# The input's channels for each of the output's, from which a quantized convolution whose input was widened counts.
PADDED = 2


def find(graph: EngineGraph, traffic: Traffic) -> Iterator[Finding]:
    layers = list(padded_convolutions(graph, traffic))
    if not layers:
        return
    moved = traffic.tensors(layer.inputs[0] for layer in layers for _ in ("written", "read"))
    ratios = sorted({_channels(layer)[0] // _channels(layer)[1] for layer in layers})
    many = " or ".join(map(str, ratios))
    yield Finding(
        kind=FindingKind.PADDED,
        message=f"{plural(len(layers), 'depthwise convolution reads', 'depthwise convolutions read')} {many} channels for each "
        f"one that the model has, the others full of zeros: {moved.told('are written and read for that')}.",
        hint="The builder pads each group, as its quantized convolutions take no fewer channels; in float it does not.",
        layers=tuple(layer.name for layer in layers),
        nodes=nodes_of(graph, layers),
        moved=moved,
    )


def padded_convolutions(graph: EngineGraph, traffic: Traffic) -> Iterator[Layer]:
    """Quantized convolutions with more input channels than output channels, by a kernel before that wrote more than it read."""
    makers = {tensor.name: layer for layer in graph.layers for tensor in layer.outputs}
    for layer in graph.layers:
        if not computes_quantized(layer) or layer.inputs[0].dtype not in QUANTIZED:
            continue
        maker = makers.get(layer.inputs[0].name)
        into, out = _channels(layer)
        if maker is None or not brings_to_quantized(maker) or not out or into % out or into < PADDED * out:
            continue
        read = max((traffic.elements(tensor) or 0 for tensor in maker.inputs), default=0)
        if read and (traffic.elements(layer.inputs[0]) or 0) >= PADDED * read:
            yield layer


def _channels(layer: Layer) -> tuple[int, int]:
    """Of the first input and output, (N, C, ...); 0 where they are not told."""
    tensors = (layer.inputs[0], layer.outputs[0]) if layer.inputs and layer.outputs else ()
    lengths = [tensor.shape or tensor.lengths or () for tensor in tensors]
    into, out = ((one[1] or 0) if len(one) > 2 else 0 for one in lengths) if len(lengths) == 2 else (0, 0)
    return into, out
