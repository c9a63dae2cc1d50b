"""Which type a graph asks each node for."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from core.precision.float16 import Keep, convert, plan
from core.precision.kinds import Precision
from core.precision.quantize import plan as quantize_plan
from core.precision.quantize import quantize
from core.precision.ranges import Ranges, TensorRange
from core.precision.requested import requested_types
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
