"""Translations that tf2onnx lacks or has wrong: `Erfc` (exact GELU), TFLite's GELU, `OneHot` (negative indices).

A handler gets tf2onnx's graph and a TensorFlow node in it, and rewrites the node in ONNX's ops. The interface is
described at https://github.com/onnx/tensorflow-onnx#creating-custom-op-mappings-from-python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Handler = tuple[Callable[[Any, Any, str, Any], None], list[str]]


def handlers() -> dict[str, Handler]:
    """For tf2onnx's `custom_op_handlers`."""
    return {"Erfc": (_erfc, []), "OneHot": (_one_hot, []), "TFL_GELU": (_tflite_gelu, [])}


def _replace(graph: Any, node: Any, op: str, inputs: list[str]) -> None:
    """Puts one op in the node's place, under its name and outputs."""
    shapes, dtypes, outputs, name = node.output_shapes, node.output_dtypes, list(node.output), node.name
    graph.remove_node(name)
    graph.make_node(op, inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)


def _constant(graph: Any, node: Any, value: Any) -> str:
    from tf2onnx import utils

    made: str = graph.make_const(utils.make_name(node.name), np.asarray(value)).output[0]
    return made


def _op(graph: Any, node: Any, kind: str, *inputs: str | float) -> str:
    """An element-wise op of the node's own shape and dtype, beside it; numbers become constants."""
    from tf2onnx import utils

    dtype = utils.map_onnx_to_numpy_type(node.output_dtypes[0])
    names = [value if isinstance(value, str) else _constant(graph, node, np.array(value, dtype)) for value in inputs]
    name = utils.make_name(f"{node.name}/{kind}")
    made: str = graph.make_node(kind, names, name=name, shapes=node.output_shapes, dtypes=node.output_dtypes).output[0]
    return made


def _erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """erfc(x) = 1 - erf(x).

    TensorFlow's exact GELU is `0.5 x erfc(-x / sqrt(2))`. It becomes `0.5 x (1 + erf(x / sqrt(2)))`, the form that
    runtimes know and fuse into one layer.
    """
    from tf2onnx import utils

    one = _constant(graph, node, np.array(1, utils.map_onnx_to_numpy_type(node.output_dtypes[0])))
    if (x := _gelu_argument(node)) is None:
        _replace(graph, node, "Sub", [one, _op(graph, node, "Erf", node.input[0])])
    else:
        scaled = _op(graph, node, "Mul", x, math.sqrt(0.5))
        _replace(graph, node, "Add", [_op(graph, node, "Erf", scaled), one])


def _gelu_argument(node: Any) -> str | None:
    """The `x` of `Erfc(Mul(Neg(x), 1 / sqrt(2)))`; None when that is not what feeds the node."""
    product = node.inputs[0]
    if product is None or product.type != "Mul":
        return None
    for negated, factor in (product.inputs, product.inputs[::-1]):
        if negated is not None and negated.type == "Neg" and factor is not None and factor.is_const():
            value = factor.get_tensor_value(as_list=False)
            if value.size == 1 and math.isclose(value.item(), math.sqrt(0.5), rel_tol=1e-6):
                argument: str = negated.input[0]
                return argument
    return None


def _tflite_gelu(graph: Any, node: Any, name: str, args: Any) -> None:
    """x / 2 (1 + erf(x / sqrt(2))), or with `approximate` x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³)))."""
    (x,) = node.input

    def op(kind: str, *inputs: str | float) -> str:
        return _op(graph, node, kind, *inputs)

    if node.get_attr_value("approximate", False):
        cubic = op("Mul", op("Mul", op("Mul", x, x), x), 0.044715)
        bell = op("Tanh", op("Mul", op("Add", x, cubic), math.sqrt(2 / math.pi)))
    else:
        bell = op("Erf", op("Mul", x, math.sqrt(0.5)))
    _replace(graph, node, "Mul", [op("Mul", x, 0.5), op("Add", bell, 1.0)])


def _one_hot(graph: Any, node: Any, name: str, args: Any) -> None:
    """Compares each index with 0 ... depth - 1.

    ONNX's own `OneHot` counts a negative index from the end where TensorFlow leaves all zeros.
    """
    from onnx import TensorProto
    from tf2onnx import utils
    from tf2onnx.graph_builder import GraphBuilder
    from tf2onnx.onnx_opset.tensor import OneHot

    indices, _, on, off = node.input
    axis, rank = node.get_attr_value("axis", -1), graph.get_rank(indices)
    if not node.inputs[1].is_const() or (rank is None and axis != -1):
        OneHot.version_11(graph, node)
        return
    if graph.get_dtype(indices) not in (TensorProto.INT32, TensorProto.INT64):  # TensorFlow's third type is uint8
        indices = graph.make_node("Cast", [indices], attr={"to": TensorProto.INT32}).output[0]
        graph.set_dtype(indices, TensorProto.INT32)
    dtype = utils.map_onnx_to_numpy_type(graph.get_dtype(indices))
    classes = np.arange(node.inputs[1].get_tensor_value(), dtype=dtype)
    if axis != -1:
        classes = classes.reshape(-1, *[1] * (rank - axis))
    spread = GraphBuilder(graph).make_unsqueeze({"data": indices, "axes": [axis]})
    hit = graph.make_node("Equal", [spread, _constant(graph, node, classes)], dtypes=[TensorProto.BOOL]).output[0]
    _replace(graph, node, "Where", [hit, on, off])
