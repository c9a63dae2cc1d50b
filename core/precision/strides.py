"""Spells out the strides of 1x1 convolutions as a MaxPool, for OpenVINO.

OpenVINO moves such a stride up the graph by itself, to between the two halves of a DQ, and then runs the convolution in FP32: six
of ResNet-50's, half of its time in INT8. A MaxPool of one element behind the DQ takes the same samples, and stays where it is.
"""

from __future__ import annotations

import onnx
from onnx import NodeProto, helper

from core.precision.view import GraphView


def spell_out_strides(model: onnx.ModelProto) -> int:
    """Gives each quantized 1x1 convolution with strides a MaxPool that has them, in place; returns how many convolutions."""
    view = GraphView(model)
    nodes: list[NodeProto] = []
    pooled: dict[tuple[str, tuple[int, ...]], str] = {}
    changed = 0
    for node in model.graph.node:
        strides = _strides(node, view)
        if strides:
            changed += 1
            key = (node.input[0], strides)
            if key not in pooled:
                pooled[key] = f"{node.input[0]}_strided_{'x'.join(map(str, strides))}"
                pool = helper.make_node(
                    "MaxPool", [node.input[0]], [pooled[key]], name=pooled[key], kernel_shape=[1] * len(strides), strides=strides
                )
                nodes.append(pool)
            node.input[0] = pooled[key]
            node.attribute.remove(next(attribute for attribute in node.attribute if attribute.name == "strides"))
        nodes.append(node)
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return changed


def _strides(node: NodeProto, view: GraphView) -> tuple[int, ...]:
    """Those of a quantized convolution whose kernel is one element and that pads nothing; empty where all are 1."""
    maker = view.producer.get(node.input[0]) if node.op_type == "Conv" else None
    if maker is None or maker.op_type != "DequantizeLinear":
        return ()
    given = {attribute.name: tuple(attribute.ints) for attribute in node.attribute if attribute.type == attribute.INTS}
    if any(given.get("pads", ())) or set(given.get("kernel_shape", (0,))) != {1}:
        return ()
    strides = given.get("strides", ())
    return strides if any(stride > 1 for stride in strides) else ()
