"""Gives quantized convolutions and products without a bias one that changes nothing, for OpenVINO.

OpenVINO 2026.4 moves the scale of a quantized convolution behind what reads it. Where the convolution has no bias and its float
result several readers, one of them gets sums without their scale: `conv * conv`, `conv * relu(conv)`, `concat(conv, relu(conv))`,
a gate on a convolution and one that is an output as well were off by 1.0; of products, `product - relu(product)`. A bias holds
the scale before it, however small.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from core.precision.view import GraphView, attribute

# Far below what a sum of floats can tell, and no zero, which would be folded away.
NO_MATTER = np.float32(1e-30)
# What computes in sums of its own, or in another scale.
_ENDS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "QuantizeLinear")


def hold_scales(model: onnx.ModelProto) -> int:
    """Adds the biases, in place, as an Add behind a MatMul, which has none; returns how many."""
    view = GraphView(model)
    lost = [node for node in model.graph.node if _is_quantized(node, view) and not _has_bias(node, view) and _several(node, view)]
    for node in lost:
        bias = f"{node.output[0]}_holds_scale"
        model.graph.initializer.append(numpy_helper.from_array(np.full(_channels(node, view), NO_MATTER), bias))
        if node.op_type == "MatMul":
            _add_behind(model, node, bias)
        else:
            del node.input[2:]
            node.input.append(bias)
    return len(lost)


def _add_behind(model: onnx.ModelProto, node: NodeProto, bias: str) -> None:
    result, sums = node.output[0], f"{bias}_not"
    node.output[0] = sums
    place = next(index for index, one in enumerate(model.graph.node) if one.name == node.name)
    model.graph.node.insert(place + 1, helper.make_node("Add", [sums, bias], [result], name=bias))


def _channels(node: NodeProto, view: GraphView) -> int:
    shape = view.shape(_weight(node, view))
    if node.op_type == "ConvTranspose":
        return shape[1] * attribute(node, "group", 1)
    if node.op_type == "Conv":
        return shape[0]
    return shape[0] if attribute(node, "transB") else shape[1]


def _is_quantized(node: NodeProto, view: GraphView) -> bool:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return False
    makers = [view.producer.get(name) for name in node.input[:2]]
    if not all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers):
        return False
    weight = _weight(node, view)
    return bool(weight) and (node.op_type != "MatMul" or len(view.shape(weight)) == 2)


def _weight(node: NodeProto, view: GraphView) -> str:
    """The stored tensor behind a node's weights; empty where they are no constant."""
    name = node.input[1]
    while name not in view.constants and (maker := view.producer.get(name)) is not None:
        name = maker.input[0]
    return name if name in view.constants else ""


def _has_bias(node: NodeProto, view: GraphView) -> bool:
    bias = node.input[2] if len(node.input) > 2 else ""
    return bool(bias) and (bias not in view.constants or bool(np.any(view.array(bias))))


def _several(node: NodeProto, view: GraphView) -> bool:
    """Whether several read its float result, at once or behind others; being an output is one. A bias too many harms nothing."""
    tensor = node.output[0]
    while (reader := view.only_consumer(tensor)) is not None and reader.op_type not in _ENDS and reader.output:
        if list(reader.input).count(tensor) > 1:
            return True
        if reader.op_type in ("Add", "Sub") and any(name in view.constants for name in reader.input):
            return False  # a bias in all but name
        tensor = reader.output[0]
    kinds = [reader.op_type for reader in view.consumers.get(tensor, []) for name in reader.input if name == tensor]
    return sum(kind != "QuantizeLinear" for kind in kinds) + (tensor in view.outputs) > 1
