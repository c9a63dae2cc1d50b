"""Which type a graph asks each node for."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from core.base.precision import Precision
from core.onnxio.file import read_onnx, save_onnx
from core.precision.calibration_data import DataOptions
from core.precision.float16 import Keep, convert, plan
from core.precision.prepare import PrecisionOptions, prepare
from core.precision.quantize import plan as quantize_plan
from core.precision.quantize import quantize
from core.precision.ranges import Ranges, TensorRange
from core.precision.requested import nodes_to_hold_in_fp32, requested_types
from core.precision.target import parse_target
from core.precision.view import GraphView


def test_a_quantized_graph_asks_for_int8_in_weighted_ops_alone(residual: onnx.ModelProto) -> None:
    tensors = {name: TensorRange(low=-1.0, high=1.0) for name in GraphView(residual).dtypes}
    ranges = Ranges(model="", data="", samples=1, calibrated=True, tensors=tensors)
    asked = requested_types(quantize(residual, quantize_plan(residual), ranges, Precision.INT8))
    assert asked["Conv_c0"] == asked["Gemm_logits"] == "int8"
    assert asked["Relu_r0"] == asked["Add_a0"] == "float32"
    assert not any("Linear" in name for name in asked)


def test_an_fp16_graph_asks_for_what_it_says(residual: onnx.ModelProto) -> None:
    asked = requested_types(convert(residual, plan(residual, TensorProto.FLOAT16, keep=Keep(nodes=("Conv_c1",)))))
    assert (asked["Conv_c0"], asked["Conv_c1"]) == ("float16", "float32")


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_weak_typing_is_told_what_fp16_would_harm(overflowing: onnx.ModelProto, tmp_path: Path, precision: Precision) -> None:
    save_onnx(overflowing, tmp_path / "source.onnx")
    (tmp_path / "graph").mkdir()
    options = PrecisionOptions(keep_ops=("Div",), data=DataOptions(expected={"x": (-1.0, 1.0)}))
    made = prepare(tmp_path / "source.onnx", tmp_path / "graph", precision, target=parse_target("tensorrt-8.6"), options=options)
    held = nodes_to_hold_in_fp32(read_onnx(tmp_path / "graph" / made.entry, weights=False))
    assert sorted(held) == ["Div_unit", "ReduceSum_total", "Sqrt_norm"]


def test_a_graph_all_in_fp32_holds_nothing(overflowing: onnx.ModelProto) -> None:
    assert nodes_to_hold_in_fp32(overflowing) == []
