"""Which quantized nodes get a bias that changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper

from core.precision.lost_scales import NO_MATTER, hold_scales

NODE = helper.make_node


def quantized(behind: list[NodeProto], *outputs: str) -> onnx.ModelProto:
    nodes = [
        NODE("DequantizeLinear", ["x", "scale"], ["dx"], name="dx"),
        NODE("DequantizeLinear", ["w", "scale"], ["dw"], name="dw"),
        NODE("MatMul", ["dx", "dw"], ["c"], name="product"),
        *behind,
    ]
    weights = {"w": np.ones((4, 8), np.int8), "scale": np.float32(0.1), "b": np.ones(8, np.float32)}
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.INT8, ["n", 4])]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 8]) for name in outputs]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, ends, held), opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(
    ("behind", "outputs", "biases"),
    [
        ([NODE("Relu", ["c"], ["r"], name="r"), NODE("Sub", ["c", "r"], ["y"], name="y")], ["y"], 1),
        ([NODE("Neg", ["c"], ["n"], name="n"), NODE("Mul", ["n", "n"], ["y"], name="y")], ["y"], 1),
        ([NODE("Relu", ["c"], ["y"], name="y")], ["c", "y"], 1),
        ([NODE("Relu", ["c"], ["y"], name="y")], ["y"], 0),
        ([NODE("Add", ["c", "b"], ["a"], name="a"), NODE("Mul", ["a", "a"], ["y"], name="y")], ["y"], 0),
    ],
    ids=["two readers", "behind another", "an output too", "one reader", "a bias already"],
)
def test_where_a_bias_is_needed(behind: list[NodeProto], outputs: list[str], biases: int) -> None:
    model = quantized(behind, *outputs)
    assert hold_scales(model) == biases
    onnx.checker.check_model(model)
    added = [numpy_helper.to_array(one) for one in model.graph.initializer if one.name.endswith("_holds_scale")]
    assert [(one.shape, one.min()) for one in added] == [((8,), NO_MATTER)] * biases
