"""Which type a graph asks each node for."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from core.base.precision import Precision
from core.onnxio.file import read_onnx, save_onnx
from core.precision.calibration.ranges import Ranges, TensorRange
from core.precision.calibration.samples import SampleSource
from core.precision.float_plan import plan
from core.precision.float_rewrite import convert
from core.precision.prepare import prepare
from core.precision.quantize_plan import plan as quantize_plan
from core.precision.quantize_rewrite import quantize
from core.precision.requested import nodes_to_hold_in_fp32, requested_types
from core.precision.settings import PrecisionSettings
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
    asked = requested_types(convert(residual, plan(residual, TensorProto.FLOAT16, PrecisionSettings(keep_nodes=("Conv_c1",)))))
    assert (asked["Conv_c0"], asked["Conv_c1"]) == ("float16", "float32")


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_weak_typing_is_told_what_fp16_would_harm(overflowing: onnx.ModelProto, tmp_path: Path, precision: Precision) -> None:
    save_onnx(overflowing, tmp_path / "source.onnx")
    (tmp_path / "graph").mkdir()
    settings, data = PrecisionSettings(keep_ops=("Div",)), SampleSource(expected={"x": (-1.0, 1.0)})
    source, target = tmp_path / "source.onnx", parse_target("tensorrt-8.6")
    made = prepare(source, tmp_path / "graph", precision, target=target, data=data, settings=settings)
    held = nodes_to_hold_in_fp32(read_onnx(tmp_path / "graph" / made.entry, weights=False))
    assert sorted(held) == ["Div_unit", "ReduceSum_total", "Sqrt_norm"]


def test_a_graph_all_in_fp32_holds_nothing(overflowing: onnx.ModelProto) -> None:
    assert nodes_to_hold_in_fp32(overflowing) == []
