"""Requested against realized, on graphs made by hand."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto

from core.graph.engine_graph import EngineGraph, Layer
from core.precision.float16 import Keep, convert, plan
from core.precision.kinds import Precision
from core.precision.quantize import plan as quantize_plan
from core.precision.quantize import quantize
from core.precision.ranges import Ranges, TensorRange
from core.precision.realized import compare_precisions, requested_types
from core.precision.view import GraphView


def engine(*layers: tuple[str, str | None, float, tuple[str, ...]]) -> EngineGraph:
    made = tuple(
        Layer(name=name, kind="", precision=precision, time_ms=time, source_nodes=nodes)
        for name, precision, time, nodes in layers
    )
    return EngineGraph(layers=made, source_nodes=())


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


def test_fused_layers_count_with_their_narrowest_node() -> None:
    asked = {"conv": "int8", "relu": "float32", "fc": "int8"}
    found = compare_precisions(asked, engine(("a", "int8", 3.0, ("conv", "relu")), ("b", "int8", 1.0, ("fc",))))
    assert found.warnings == ()
    assert found.agreeing == 1.0
    assert found.time_shares == {"int8": 1.0}
    assert [node.share for node in found.nodes] == pytest.approx([0.375, 0.375, 0.25])


def test_layers_that_ran_wider_are_named_with_their_time() -> None:
    asked = {"c1": "int8", "c2": "int8", "fc": "int8"}
    graph = engine(("a", "int8", 1.0, ("c1",)), ("b", "float32", 2.0, ("c2",)), ("c", "float32", 1.0, ("fc",)))
    found = compare_precisions(asked, graph)
    assert found.warnings == ("2 layers asked for in int8 ran in float32, 75% of the time: c2, fc.",)
    assert found.agreeing == pytest.approx(1 / 3)


def test_layers_that_ran_narrower_are_named_too() -> None:
    found = compare_precisions({"c": "float32"}, engine(("a", "bfloat16", 1.0, ("c",))))
    assert found.warnings == ("1 layers asked for in float32 ran in bfloat16, 100% of the time: c.",)


def test_q_moved_past_a_pooling_is_nothing_odd() -> None:
    asked = {"conv": "int8", "pool": "float32"}
    found = compare_precisions(asked, engine(("a", "int8", 1.0, ("conv",)), ("b", "uint8", 1.0, ("pool",))))
    assert (found.warnings, found.agreeing) == ((), 1.0)


def test_trifles_are_no_warning_and_silence_is_no_agreement() -> None:
    asked = {"c1": "int8", "c2": "int8", "gone": "int8"}
    found = compare_precisions(asked, engine(("a", None, 99.5, ("c1",)), ("b", "float32", 0.5, ("c2",))))
    assert found.warnings == ()
    assert found.agreeing == 0.0
    assert {node.node: node.realized for node in found.nodes} == {"c1": None, "c2": "float32", "gone": None}


def test_without_times_there_are_no_shares() -> None:
    layer = Layer(name="a", kind="", precision="float32", source_nodes=("c",))
    found = compare_precisions({"c": "int8"}, EngineGraph(layers=(layer,), source_nodes=()))
    assert found.time_shares == {}
    assert found.nodes[0].share is None
    assert found.warnings == ("1 layers asked for in int8 ran in float32: c.",)
