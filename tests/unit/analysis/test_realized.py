"""Requested against realized, on engines made by hand."""

from __future__ import annotations

import pytest

from core.analysis.realized import compare_precisions
from core.base.precision import Precision
from core.graph.engine_graph import EngineGraph, Layer, SourceNode


def engine(asked: dict[str, str | None], *layers: tuple[str, str | None, float | None, tuple[str, ...]]) -> EngineGraph:
    made = tuple(
        Layer(name=name, kind="", precision=precision, time_ms=time, source_nodes=nodes)
        for name, precision, time, nodes in layers
    )
    nodes = tuple(SourceNode(name=name, op="Conv", requested=kind) for name, kind in asked.items())
    return EngineGraph(layers=made, source_nodes=nodes)


def warnings(of: EngineGraph, precision: Precision | None = None) -> list[str]:
    return [pair.warning for pair in compare_precisions(of, precision).disagreements]


def test_fused_layers_count_with_their_narrowest_node() -> None:
    asked = {"conv": "int8", "relu": "float32", "fc": "int8"}
    graph = engine(asked, ("a", "int8", 3.0, ("conv", "relu")), ("b", "int8", 1.0, ("fc",)))
    found = compare_precisions(graph)
    assert found.disagreements == ()
    assert (found.agreeing, found.agreeing_time) == (1.0, 1.0)
    assert [(pair.requested, pair.realized, pair.nodes, pair.share) for pair in found.pairs] == [
        ("int8", "int8", ("conv", "relu", "fc"), 1.0)
    ]
    assert [node.share for node in found.nodes] == pytest.approx([0.375, 0.375, 0.25])
    assert found.summary == "100% of the nodes ran as asked, 100% of the time"


def test_layers_that_ran_wider_are_named_with_their_time() -> None:
    asked = {"c1": "int8", "c2": "int8", "fc": "int8"}
    graph = engine(asked, ("a", "int8", 1.0, ("c1",)), ("b", "float32", 2.0, ("c2",)), ("c", "float32", 1.0, ("fc",)))
    assert warnings(graph) == ["2 layers asked for in int8 ran in float32, 75% of the time: nodes c2, fc."]
    found = compare_precisions(graph)
    assert found.agreeing == pytest.approx(1 / 3)
    assert found.agreeing_time == pytest.approx(0.25)


def test_layers_that_ran_narrower_are_named_too() -> None:
    graph = engine({"c": "float32"}, ("a", "bfloat16", 1.0, ("c",)))
    assert warnings(graph) == ["1 layer asked for in float32 ran in bfloat16, 100% of the time: node c."]


def test_two_types_of_one_width_are_not_the_same() -> None:
    assert len(warnings(engine({"c": "float16"}, ("a", "bfloat16", 1.0, ("c",))))) == 1


def test_q_moved_past_a_pooling_is_nothing_odd() -> None:
    graph = engine({"conv": "int8", "pool": "float32"}, ("a", "int8", 1.0, ("conv",)), ("b", "uint8", 1.0, ("pool",)))
    found = compare_precisions(graph)
    assert (found.disagreements, found.agreeing) == ((), 1.0)


def test_what_was_kept_in_fp32_and_ran_in_fp16_is_told() -> None:
    graph = engine({"conv": "float16", "sum": "float32"}, ("a", "float16", 1.0, ("conv",)), ("b", "float16", 1.0, ("sum",)))
    assert warnings(graph, Precision.FP16) == ["1 layer asked for in float32 ran in float16, 50% of the time: node sum."]


def test_an_int8_build_may_run_the_rest_in_fp16() -> None:
    graph = engine({"conv": "int8", "soft": "float32"}, ("a", "int8", 1.0, ("conv",)), ("b", "float16", 1.0, ("soft",)))
    assert warnings(graph, Precision.INT8) == []
    assert len(warnings(graph)) == 1


def test_trifles_are_no_warning_and_silence_is_no_agreement() -> None:
    asked = {"c1": "int8", "c2": "int8", "gone": "int8"}
    graph = engine(asked, ("a", None, 99.5, ("c1",)), ("b", "float32", 0.5, ("c2",)))
    found = compare_precisions(graph)
    assert found.disagreements == ()
    assert found.agreeing == 0.0
    assert {node.node: node.realized for node in found.nodes} == {"c1": None, "c2": "float32", "gone": None}


def test_without_times_there_are_no_shares() -> None:
    graph = engine({"c": "int8"}, ("a", "float32", None, ("c",)))
    found = compare_precisions(graph)
    assert (found.pairs[0].share, found.nodes[0].share, found.agreeing_time) == (None, None, None)
    assert warnings(graph) == ["1 layer asked for in int8 ran in float32: node c."]


def test_where_the_graph_does_not_tell_the_build_asks_every_node() -> None:
    graph = engine({"a": None, "b": None, "n": None}, ("x", "float16", 3.0, ("a",)), ("y", "float32", 1.0, ("b",)))
    assert warnings(graph, Precision.FP16) == ["1 layer asked for in float16 ran in float32, 25% of the time: node b."]
    assert compare_precisions(graph).nodes == ()
    assert compare_precisions(graph).summary == ""
    tf32 = engine({"a": None}, ("x", "float32", 3.0, ("a",)))
    assert warnings(tf32, Precision.TF32) == []


def test_a_model_that_came_quantized_may_run_in_int8() -> None:
    node = SourceNode(name="q", op="QuantizeLinear")
    graph = engine({"a": None}, ("x", "uint8", 3.0, ("a",)))
    quantized = EngineGraph(layers=graph.layers, source_nodes=(*graph.source_nodes, node))
    assert len(warnings(graph, Precision.FP32)) == 1
    assert warnings(quantized, Precision.FP32) == []


def test_counting_in_whole_numbers_is_no_precision() -> None:
    assert warnings(engine({"g": None}, ("x", "int64", 3.0, ("g",))), Precision.FP32) == []


def test_booleans_and_branches_are_no_precision() -> None:
    """OpenVINO tells booleans as uint8: a comparison and an `If` on one ran in what they are."""
    nodes = (
        SourceNode(name="less", op="Less", own=""),
        SourceNode(name="if", op="If", own=""),
        SourceNode(name="conv", op="Conv", own="float32"),
    )
    layers = tuple(
        Layer(name=name, kind="", precision=kind, time_ms=1.0, source_nodes=(name,))
        for name, kind in (("less", "uint8"), ("if", "uint8"), ("conv", "float32"))
    )
    found = compare_precisions(EngineGraph(layers=layers, source_nodes=nodes), Precision.FP32)
    assert (found.disagreements, found.agreeing, [node.node for node in found.nodes]) == ((), 1.0, ["conv"])


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "int8"])
def test_a_graph_that_is_narrow_by_itself_is_asked_for_so(kind: str) -> None:
    node = SourceNode(name="m", op="MatMul", own=kind)
    narrow = EngineGraph(
        layers=(Layer(name="a", kind="", precision=kind, time_ms=1.0, source_nodes=("m",)),), source_nodes=(node,)
    )
    assert warnings(narrow, Precision.FP32) == []
    wide = EngineGraph(layers=(Layer(name="a", kind="", precision="float32", source_nodes=("m",)),), source_nodes=(node,))
    assert warnings(wide, Precision.FP32) == [f"1 layer asked for in {kind} ran in float32: node m."]


def test_a_narrow_build_asks_a_float_graph_for_its_own_precision() -> None:
    node = SourceNode(name="m", op="MatMul", own="float32")
    graph = EngineGraph(layers=(Layer(name="a", kind="", precision="float32", source_nodes=("m",)),), source_nodes=(node,))
    assert warnings(graph, Precision.FP16) == ["1 layer asked for in float16 ran in float32: node m."]


def test_integers_alone_leave_nothing_to_ask_for() -> None:
    node = SourceNode(name="add", op="Add", own="")
    graph = EngineGraph(layers=(Layer(name="a", kind="", precision="int8", source_nodes=("add",)),), source_nodes=(node,))
    found = compare_precisions(graph, Precision.FP32)
    assert (found.disagreements, found.agreeing) == ((), None)
