"""The auditor finds every violation in graphs made wrong on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from core.base.precision import Precision
from core.precision.calibration.ranges import Ranges, TensorRange
from core.precision.placement_check import check_placement
from core.precision.quantize_plan import plan
from core.precision.quantize_rewrite import quantize
from core.precision.record import Rule
from core.precision.view import GraphView


@pytest.fixture
def good(residual: onnx.ModelProto) -> onnx.ModelProto:
    tensors = {name: TensorRange(low=-1.0, high=1.0) for name in GraphView(residual).dtypes}
    ranges = Ranges(model="", data="", samples=1, calibrated=True, tensors=tensors)
    return quantize(residual, plan(residual), ranges, Precision.INT8)


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def set_constant(model: onnx.ModelProto, name: str, array: np.ndarray) -> None:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def wrap(model: onnx.ModelProto, tensor: str, reader: str, position: int, zero_point: np.ndarray | None = None) -> None:
    """Puts a Q/DQ pair of its own between a tensor and one reader."""
    scale, zero = f"{tensor}_new_scale", f"{tensor}_new_zero"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.1, np.float32), scale))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8) if zero_point is None else zero_point, zero))
    made = [
        helper.make_node("QuantizeLinear", [tensor, scale, zero], [f"{tensor}_new_q"], name=f"new_q_{tensor}"),
        helper.make_node("DequantizeLinear", [f"{tensor}_new_q", scale, zero], [f"{tensor}_new_dq"], name=f"new_dq_{tensor}"),
    ]
    node(model, reader).input[position] = f"{tensor}_new_dq"
    model.graph.node.extend(made)


def found(model: onnx.ModelProto, *, stored_weights: bool = True) -> dict[Rule, str]:
    return {violation.rule: violation.message for violation in check_placement(model, stored_weights=stored_weights)}


def test_a_good_graph_has_none(good: onnx.ModelProto) -> None:
    assert found(good, stored_weights=False) == {}


def test_zero_points(good: onnx.ModelProto) -> None:
    set_constant(good, "r0_zero_point", np.array(3, np.int8))
    violations = check_placement(good)
    assert [violation.node for violation in violations] == ["r0_QuantizeLinear", "r0_DequantizeLinear"]
    assert violations[0].message == "r0_QuantizeLinear has a zero point other than 0; quantize symmetrically."


def test_unsigned_types(good: onnx.ModelProto) -> None:
    set_constant(good, "r0_zero_point", np.array(0, np.uint8))
    assert "UINT8" in found(good)[Rule.SIGNED]


def test_scales_must_be_positive(good: onnx.ModelProto) -> None:
    set_constant(good, "r0_scale", np.array(0, np.float32))
    assert Rule.CONSTANT_SCALE in found(good)


def test_inside_conv_batchnorm_relu(good: onnx.ModelProto) -> None:
    wrap(good, "n0", "Relu_r0", 0)
    assert found(good) == {
        Rule.FUSION: "new_q_n0 lies between BatchNormalization_n0 and Relu_r0; quantize Relu_r0's output instead."
    }


def test_an_activation_that_onnx_runtime_does_not_fuse_may_follow_a_q_there(good: onnx.ModelProto) -> None:
    node(good, "Relu_r0").op_type = "Sigmoid"
    wrap(good, "n0", "Relu_r0", 0)
    assert list(found(good)) == [Rule.FUSION]
    assert check_placement(good, tensorrt=False) == ()


def test_between_convolution_and_batchnorm(good: onnx.ModelProto) -> None:
    wrap(good, "c0", "BatchNormalization_n0", 0)
    assert "between Conv_c0 and BatchNormalization_n0" in found(good)[Rule.FUSION]


def test_both_inputs_of_an_add(good: onnx.ModelProto) -> None:
    wrap(good, "c2", "Add_a0", 1)
    assert list(found(good)) == [Rule.ADD]
    assert found(good)[Rule.ADD].startswith("Add_a0 reads two quantized tensors")


def test_the_wrong_input_of_an_add(good: onnx.ModelProto) -> None:
    node(good, "Add_a1").input[1] = "r2"
    wrap(good, "c3", "Add_a1", 0)
    assert list(found(good)) == [Rule.SHORTCUT]


def test_a_quantized_bias(good: onnx.ModelProto) -> None:
    good.graph.initializer.append(numpy_helper.from_array(np.zeros(8, np.int32), "b0_q"))
    good.graph.initializer.append(numpy_helper.from_array(np.full(8, 0.01, np.float32), "b0_scale"))
    good.graph.node.insert(0, helper.make_node("DequantizeLinear", ["b0_q", "b0_scale"], ["b0_dq"], name="bias_dq", axis=0))
    node(good, "Conv_c0").input[2] = "b0_dq"
    assert list(found(good)) == [Rule.BIAS]


def test_per_tensor_weights(good: onnx.ModelProto) -> None:
    set_constant(good, "w1_scale", np.array(0.1, np.float32))
    set_constant(good, "w1_zero_point", np.array(0, np.int8))
    assert found(good) == {Rule.CHANNEL_AXIS: "Conv_c1's weights have one scale for all 8 output channels."}


def test_the_wrong_channel_axis(good: onnx.ModelProto) -> None:
    for name in ("w1_QuantizeLinear", "w1_DequantizeLinear"):
        node(good, name).attribute[0].i = 1
    assert found(good) == {Rule.CHANNEL_AXIS: "Conv_c1's weights are scaled along axis 1; its output channels are axis 0."}


def test_per_channel_activations(good: onnx.ModelProto) -> None:
    set_constant(good, "r0_scale", np.full(8, 0.1, np.float32))
    set_constant(good, "r0_zero_point", np.zeros(8, np.int8))
    assert Rule.ACTIVATION_SCALE in found(good)


def test_one_quantized_operand(good: onnx.ModelProto) -> None:
    node(good, "Conv_c1").input[0] = "r0"
    assert found(good) == {Rule.BOTH_OPERANDS: "Conv_c1 has one quantized operand; r0 is not quantized."}


def test_stored_weights_where_the_target_takes_none(residual: onnx.ModelProto) -> None:
    tensors = {name: TensorRange(low=-1.0, high=1.0) for name in GraphView(residual).dtypes}
    ranges = Ranges(model="", data="", samples=1, calibrated=True, tensors=tensors)
    model = quantize(residual, plan(residual), ranges, Precision.INT8, stored=True)
    assert found(model) == {}
    assert list(found(model, stored_weights=False)) == [Rule.STORED_WEIGHTS]


def test_what_onnxruntime_does_by_default_is_found(residual: onnx.ModelProto, tmp_path: Path) -> None:
    """The placement the notes call unfusable: asymmetric UINT8 and quantized biases."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Random(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [{"image": np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)}]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    source, target = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.save(residual, source)
    quantize_static(str(source), str(target), Random())
    rules = set(found(onnx.load(target)))
    assert {Rule.BIAS, Rule.CHANNEL_AXIS, Rule.ZERO_POINT} <= rules
