"""Weights that a product reads behind a Transpose, as a tied output layer reads its embedding: turned for good.

The simplifier leaves them where something else reads the same weights as they are. Quantized, they need scales along their own
channels, so the product gets a tensor of its own.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from core.precision.view import GraphView

_PRODUCTS = ("Gemm", "MatMul")


def turn_weights(model: onnx.ModelProto) -> int:
    """Replaces each Transpose of an initializer that products alone read by its result, in place; returns how many."""
    view = GraphView(model)
    turned = [node for node in model.graph.node if _is_turned(node, view)]
    for node in turned:
        order = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), None)
        array = np.ascontiguousarray(np.transpose(view.array(node.input[0]), order))
        model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
        model.graph.node.remove(node)
    return len(turned)


def _is_turned(node: NodeProto, view: GraphView) -> bool:
    if node.op_type != "Transpose" or node.input[0] not in view.constants or not view.is_float(node.input[0]):
        return False
    readers = view.consumers.get(node.output[0], [])
    return bool(readers) and node.output[0] not in view.outputs and all(reader.op_type in _PRODUCTS for reader in readers)
