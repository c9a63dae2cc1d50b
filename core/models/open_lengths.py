"""Lengths of open axes that an ONNX graph can run at, where the usual guess is none to it.

A filter of 400 samples makes nothing of 64, and five strides with a join demand multiples of 32. What is tried is shape
inference, which runs nothing; a graph in which it finds no length keeps the guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from core.base.profile import DEFAULT_BATCH, DEFAULT_LENGTH, default_range
from core.base.tensors import Signature

TRIED = (DEFAULT_LENGTH.opt, 96, 128, 224, 256, 320, 384, 416, 512, 640, 1024, 4096, 16000, 22050, 32000, 44100, 48000, 160000)
_LARGEST_GRAPH_BYTES = 50_000_000
_WINDOWED = ("AveragePool", "Conv", "LpPool", "MaxPool")


def lengths_taken(model: onnx.ModelProto, signature: Signature) -> dict[str, int]:
    """Lengths, by symbol, that the graph takes where it does not take the default; empty where that does or none is found.

    Args:
        model: Large weights need not have their values.
    """
    open_axes = [symbol for symbol in signature.symbols if default_range(symbol) is not DEFAULT_BATCH]
    if not open_axes or model.ByteSize() > _LARGEST_GRAPH_BYTES:
        return {}
    tried = onnx.ModelProto()
    tried.CopyFrom(model)
    del tried.graph.value_info[:]  # they may hold the lengths of another export
    for info in tried.graph.output:
        info.type.tensor_type.ClearField("shape")
    for length in TRIED:
        if _takes(tried, signature, dict.fromkeys(open_axes, length)):
            return {} if length == DEFAULT_LENGTH.opt else dict.fromkeys(open_axes, length)
    return {}


def _takes(tried: onnx.ModelProto, signature: Signature, lengths: dict[str, int]) -> bool:
    """Whether shape inference meets no contradiction at these lengths, which are put in, and no tensor without elements."""
    shapes = {spec.name: spec.shape for spec in signature.inputs if spec.shape is not None}
    for info in tried.graph.input:
        for dim, axis in zip(info.type.tensor_type.shape.dim, shapes.get(info.name, ()), strict=False):
            dim.dim_value = axis if isinstance(axis, int) else lengths.get(axis, default_range(axis).opt)
    try:
        found = onnx.shape_inference.infer_shapes(tried, strict_mode=True, data_prop=True)
    except Exception:  # a contradiction, or an op that it does not know
        return False
    given = {tensor.name: list(tensor.dims) for tensor in tried.graph.initializer}
    known = {info.name: _lengths(info) for info in (*found.graph.input, *found.graph.value_info)}
    if any(_is_too_short(node, known, given) for node in found.graph.node if node.op_type in _WINDOWED):
        return False
    return not any(_is_empty(info) for info in (*found.graph.value_info, *found.graph.output) if info.name not in given)


def _lengths(info: onnx.ValueInfoProto) -> list[int | None]:
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in info.type.tensor_type.shape.dim]


def _is_too_short(node: onnx.NodeProto, shapes: Mapping[str, Sequence[int | None]], weights: Mapping[str, Sequence[int]]) -> bool:
    """Whether a window is longer than what it slides over, which shape inference rounds to one step."""
    told = {attribute.name: attribute for attribute in node.attribute}
    kernel: Sequence[int] = list(told["kernel_shape"].ints) if "kernel_shape" in told else []
    if not kernel and len(node.input) > 1:
        kernel = weights.get(node.input[1], [])[2:]
    lengths = shapes.get(node.input[0], [])[2:]
    if not kernel or len(lengths) != len(kernel) or ("auto_pad" in told and told["auto_pad"].s not in (b"", b"NOTSET", b"VALID")):
        return False
    pads = list(told["pads"].ints) if "pads" in told else [0] * 2 * len(kernel)
    wide = list(told["dilations"].ints) if "dilations" in told else [1] * len(kernel)
    return any(
        length is not None and length + pads[axis] + pads[axis + len(kernel)] < (kernel[axis] - 1) * wide[axis] + 1
        for axis, length in enumerate(lengths)
    )


def _is_empty(info: onnx.ValueInfoProto) -> bool:
    return any(length is not None and length < 1 for length in _lengths(info))
