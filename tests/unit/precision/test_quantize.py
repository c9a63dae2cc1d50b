"""Where Q and DQ go, with which scales."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker, numpy_helper

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.precision.calibration.ranges import Ranges, TensorRange
from core.precision.float_plan import plan as float_plan
from core.precision.float_rewrite import convert
from core.precision.placement_check import check_placement
from core.precision.quantize_plan import plan
from core.precision.quantize_rewrite import quantize
from core.precision.settings import PrecisionSettings
from core.precision.target import QuantizedOutputs
from core.precision.view import GraphView


def ranges_for(model: onnx.ModelProto, largest: float = 6.35) -> Ranges:
    tensors = {name: TensorRange(low=-1.0, high=largest, magnitudes={"99.9": 1.27}) for name in GraphView(model).dtypes}
    return Ranges(model="", data="test", samples=1, calibrated=True, tensors=tensors)


def quantized(model: onnx.ModelProto, precision: Precision = Precision.INT8, **how: object) -> onnx.ModelProto:
    model = quantize(model, plan(model), ranges_for(model), precision, **how)  # type: ignore[arg-type]
    checker.check_model(model, full_check=True)
    return model


def reads_quantized(model: onnx.ModelProto) -> dict[str, list[int]]:
    """For each node, the input positions that come from a DQ."""
    made = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found = {node.name: [i for i, name in enumerate(node.input) if name in made] for node in model.graph.node}
    return {name: positions for name, positions in found.items() if positions}


def values(model: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == name))


def test_weighted_ops_and_shortcuts_are_quantized_and_nothing_else(residual: onnx.ModelProto) -> None:
    model = quantized(residual)
    assert reads_quantized(model) == {
        "Conv_c0": [0, 1],
        "Conv_c1": [0, 1],
        "Conv_c2": [0, 1],
        "Conv_s0": [0, 1],
        "Add_a0": [0],  # s0 is the shorter way
        "Conv_c3": [0, 1],
        "Add_a1": [1],
        "Gemm_logits": [0, 1],
    }
    assert check_placement(model, stored_weights=False) == ()


def test_all_quantized_readers_of_a_tensor_share_one_pair(residual: onnx.ModelProto) -> None:
    model = quantized(residual)
    readers = [node.name for node in model.graph.node if "r2_dq" in node.input]
    assert readers == ["Conv_c3", "Add_a1"]
    assert sum(node.op_type == "QuantizeLinear" and node.input[0] == "r2" for node in model.graph.node) == 1


def test_scales_are_symmetric_and_weights_have_one_a_channel(residual: onnx.ModelProto) -> None:
    w1 = numpy_helper.to_array(next(tensor for tensor in residual.graph.initializer if tensor.name == "w1"))
    model = quantized(residual)
    assert values(model, "r0_scale") == pytest.approx(6.35 / 127)
    np.testing.assert_allclose(values(model, "w1_scale"), np.abs(w1).max(axis=(1, 2, 3)) / 127, rtol=1e-6)
    assert not values(model, "w1_zero_point").any()
    assert values(model, "w1_zero_point").dtype == np.int8


def test_a_percentile_takes_the_place_of_the_largest_value(residual: onnx.ModelProto) -> None:
    assert values(quantized(residual, percentile=99.9), "r0_scale") == pytest.approx(0.01)


def test_an_uncalibrated_percentile_is_refused(residual: onnx.ModelProto) -> None:
    with pytest.raises(InvalidRequest, match=r"no percentile 99.5.*They hold 99.9"):
        quantized(residual, percentile=99.5)


def test_stored_weights_are_rounded_to_nearest(residual: onnx.ModelProto) -> None:
    w1 = numpy_helper.to_array(next(tensor for tensor in residual.graph.initializer if tensor.name == "w1"))
    model = quantized(residual, stored=True)
    stored, scale = values(model, "w1_q"), values(model, "w1_scale")[:, None, None, None]
    assert stored.dtype == np.int8
    assert np.abs(stored * scale - w1).max() <= scale.max() * 0.5001
    assert "w1" not in {tensor.name for tensor in model.graph.initializer}
    assert check_placement(model) == ()


def test_fp8_reaches_448(make_network: Callable[..., onnx.ModelProto], residual: onnx.ModelProto) -> None:
    residual.opset_import[0].version = 19
    residual.ir_version = 9
    model = quantized(residual, Precision.FP8)
    assert values(model, "r0_scale") == pytest.approx(6.35 / 448)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert types["r0_zero_point"] == TensorProto.FLOAT8E4M3FN
    assert check_placement(model, stored_weights=False) == ()


def test_onnxruntime_gets_quantized_outputs_and_uint8(residual: onnx.ModelProto) -> None:
    ranges = ranges_for(residual)
    for name in ("r0", "r1", "r2", "r3"):
        ranges.tensors[name] = TensorRange(low=0.0, high=2.55)
    model = quantize(residual, plan(residual, outputs=QuantizedOutputs.ALL), ranges, Precision.INT8, stored=True, unsigned=True)
    checker.check_model(model, full_check=True)
    read = reads_quantized(model)
    assert read["Add_a0"] == read["Add_a1"] == [0, 1]
    assert values(model, "r1_scale") == pytest.approx(0.01)
    assert values(model, "r1_zero_point").dtype == np.uint8
    assert values(model, "r1_zero_point") == 0
    assert values(model, "image_scale") == pytest.approx((6.35 + 1.0) / 255)
    assert values(model, "image_zero_point") == round(1.0 / (7.35 / 255))
    assert check_placement(model, tensorrt=False) == ()
    assert check_placement(model) != ()


def test_fp8_leaves_small_convolutions_alone(residual: onnx.ModelProto) -> None:
    decided = plan(residual, precision=Precision.FP8)
    assert decided.weights.keys() == {"Gemm_logits"}
    assert decided.kept["Conv_c1"] == "FP8 convolutions have 16 channels and more, and filters of at most 32"
    assert {name for readers in decided.activations.values() for name, _ in readers} == {"Gemm_logits"}


def test_a_channel_of_zeros_gets_a_positive_scale(make_network: Callable[..., onnx.ModelProto]) -> None:
    weight = np.stack([np.zeros(3), np.ones(3)], axis=1)
    model = make_network("y = MatMul (x, w)", inputs="float[2,3] x", outputs="float[2,2] y", weights={"w": weight})
    assert (values(quantized(model), "w_scale") > 0).all()


def test_matmul_channels_are_columns_and_two_activations_stay(make_network: Callable[..., onnx.ModelProto]) -> None:
    body = "h = MatMul (x, w) t = Transpose (h) y = MatMul (h, t)"
    model = make_network(body, inputs="float[4,3] x", outputs="float[4,4] y", weights={"w": np.ones((3, 5))})
    decided = plan(model)
    assert decided.weights["MatMul_h"].axis == 1
    assert decided.kept == {"MatMul_y": "neither operand is a constant"}


def test_nodes_can_be_kept(residual: onnx.ModelProto) -> None:
    decided = plan(residual, PrecisionSettings(keep_nodes=("Conv_c2", "Add_a1"), keep_ops=("Gemm",)))
    assert decided.kept == {"Conv_c2": "kept by name", "Gemm_logits": "Gemm is kept by type"}
    quantized_readers = {name for readers in decided.activations.values() for name, _ in readers}
    assert quantized_readers == {"Conv_c0", "Conv_c1", "Conv_s0", "Conv_c3"}  # Add_a0 would fuse with Conv_c2


def test_the_rest_can_be_fp16_with_scales_that_never_round_down(residual: onnx.ModelProto) -> None:
    residual.opset_import[0].version = 19
    residual.ir_version = 9
    before = quantized(residual)
    exact = values(before, "w1_scale").copy()
    decided = float_plan(before, TensorProto.FLOAT16)
    convert(before, decided)
    checker.check_model(before, full_check=True)
    rounded = values(before, "w1_scale")
    assert rounded.dtype == np.float16
    assert (rounded.astype(np.float32) >= exact).all()
    assert "Conv_c1" in decided.low
