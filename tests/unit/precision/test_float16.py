"""FP16 and BF16 conversion: valid graphs, few casts, names kept, and everything that must stay FP32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker, numpy_helper

from core.precision.float_plan import FloatPlan, plan
from core.precision.float_rewrite import convert
from core.precision.load import prepare_graph
from core.precision.settings import PrecisionSettings

Make = Callable[..., onnx.ModelProto]
FP16, BF16 = TensorProto.FLOAT16, TensorProto.BFLOAT16


def converted(
    model: onnx.ModelProto, to: int = FP16, *, keep_io_types: bool = True, **how: object
) -> tuple[onnx.ModelProto, FloatPlan]:
    model = prepare_graph(model)
    decided = plan(model, to, **how)  # type: ignore[arg-type]
    convert(model, decided, keep_io_types=keep_io_types)
    checker.check_model(model, full_check=True)
    return model, decided


def casts(model: onnx.ModelProto) -> list[str]:
    return [node.name for node in model.graph.node if node.op_type == "Cast"]


def node_names(model: onnx.ModelProto) -> set[str]:
    return {node.name for node in model.graph.node}


def input_types(model: onnx.ModelProto, node_name: str) -> list[int]:
    """Element types of a node's inputs, as shape inference sees them."""
    inferred = onnx.shape_inference.infer_shapes(model)
    types = {value.name: value.type.tensor_type.elem_type for value in [*inferred.graph.value_info, *inferred.graph.input]}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    node = next(node for node in model.graph.node if node.name == node_name)
    return [types[name] for name in node.input]


def test_a_network_needs_one_cast_at_each_end_and_keeps_its_names(residual: onnx.ModelProto) -> None:
    before = node_names(residual)
    model, decided = converted(residual)
    assert casts(model) == ["image_to_image_fp16", "logits_fp16_to_logits"]
    assert before <= node_names(model)
    assert decided.low.keys() == before
    assert not decided.kept
    assert {tensor.data_type for tensor in model.graph.initializer} == {FP16}
    assert [value.name for value in model.graph.output] == ["logits"]


def test_inputs_and_outputs_may_change_type_too(residual: onnx.ModelProto) -> None:
    model, _ = converted(residual, keep_io_types=False)
    assert casts(model) == []
    assert {value.type.tensor_type.elem_type for value in [*model.graph.input, *model.graph.output]} == {FP16}


def test_ops_and_nodes_can_be_kept_by_type_and_by_pattern(residual: onnx.ModelProto) -> None:
    model, decided = converted(residual, settings=PrecisionSettings(keep_ops=("Gemm",), keep_nodes=("Conv_c1", "Add_*")))
    assert decided.kept.keys() == {"Gemm_logits", "Conv_c1", "Add_a0", "Add_a1"}
    assert decided.kept["Gemm_logits"] == "Gemm is kept by type"
    assert set(input_types(model, "Conv_c1")) == {TensorProto.FLOAT}
    assert set(input_types(model, "Conv_c2")) == {FP16}


def test_a_name_with_brackets_is_itself(residual: onnx.ModelProto) -> None:
    residual.graph.node[0].name = "cell[0]/Conv"
    _, decided = converted(residual, settings=PrecisionSettings(keep_nodes=("cell[0]/Conv",)))
    assert decided.kept.keys() == {"cell[0]/Conv"}


def test_a_weight_read_in_both_precisions_exists_twice(residual: onnx.ModelProto) -> None:
    model, _ = converted(residual, settings=PrecisionSettings(keep_nodes=("Conv_c2",)))  # shares w2 with Conv_c3
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert types["w2"] == TensorProto.FLOAT
    assert types["w2_fp16"] == FP16


def test_what_leaves_the_range_stays(overflowing: onnx.ModelProto) -> None:
    _, decided = converted(overflowing, ranges={"squared": (0.0, 30000.0), "total": (0.0, 7e5), "h": (-170.0, 170.0)})
    assert decided.kept.keys() == {"ReduceSum_total", "Sqrt_norm"}
    assert "7e+05" in decided.kept["Sqrt_norm"]


def test_values_near_the_limit_count_as_beyond_it(overflowing: onnx.ModelProto) -> None:
    _, decided = converted(overflowing, ranges={"squared": (0.0, 40000.0)})
    assert "Mul_squared" in decided.kept


def test_bf16_needs_no_range(make_network: Make) -> None:
    model = make_network("y = Add (x, c)", inputs="float[4] x", outputs="float[4] y", weights={"c": np.array([1e30])})
    _, decided = converted(model, BF16, ranges={"y": (0.0, 1e30)})
    assert not decided.kept


@pytest.mark.parametrize(("constant", "why"), [(1e-12, "rounds to zero"), (1e9, "FP16 ends at")])
def test_constants_that_fp16_cannot_hold_keep_their_node(make_network: Make, constant: float, why: str) -> None:
    body = "s = Add (x, c) y = Sqrt (s)"
    model = make_network(body, inputs="float[4] x", outputs="float[4] y", weights={"c": np.array(constant)})
    _, decided = converted(model)
    assert why in decided.kept["Add_s"]
    assert decided.low.keys() == {"Sqrt_y"}


def test_an_infinite_constant_may_change(make_network: Make) -> None:
    model = make_network("y = Add (x, c)", inputs="float[4] x", outputs="float[4] y", weights={"c": np.array(-np.inf)})
    changed, _ = converted(model)
    assert np.isneginf(numpy_helper.to_array(changed.graph.initializer[0]))


def test_resize_keeps_its_scales_and_non_max_suppression_its_boxes(make_network: Make) -> None:
    body = """
        r = Resize <mode = "nearest"> (x, , scales)
        b = Reshape (r, boxes_shape)
        s = Reshape (r, scores_shape)
        y = NonMaxSuppression (b, s)
    """
    weights = {
        "scales": np.array([1.0, 1, 2, 2]),
        "boxes_shape": np.array([1, -1, 4]),
        "scores_shape": np.array([1, 1, -1]),
    }
    model = make_network(body, inputs="float[1,4,2,2] x", outputs="int64[n,3] y", weights=weights)
    changed, decided = converted(model)
    assert decided.kept["NonMaxSuppression_y"] == "NonMaxSuppression takes no such type at opset 17"
    types = {tensor.name: tensor.data_type for tensor in changed.graph.initializer}
    assert types["scales"] == TensorProto.FLOAT
    assert "Resize_r" in decided.low


def test_movers_between_fp32_nodes_are_not_wrapped_in_casts(make_network: Make) -> None:
    body = "a = Exp (x) b = Reshape (a, s) c = Transpose (b) y = Exp (c)"
    model = make_network(body, inputs="float[4] x", outputs="float[2,2] y", weights={"s": np.array([2, 2])})
    changed, decided = converted(model, settings=PrecisionSettings(keep_ops=("Exp",)))
    assert casts(changed) == []
    assert decided.kept["Reshape_b"] == "it lies between nodes kept in FP32"


def test_an_embedding_changes_although_its_reader_stays(make_network: Make) -> None:
    body = "rows = Gather (table, ids) y = Exp (rows)"
    weights = {"table": np.ones((8, 4))}
    model = make_network(body, inputs="int64[n] ids", outputs="float[n,4] y", weights=weights)
    changed, _ = converted(model, settings=PrecisionSettings(keep_ops=("Exp",)))
    assert [tensor.data_type for tensor in changed.graph.initializer] == [FP16]
    assert casts(changed) == ["rows_to_rows_fp32"]


def test_subgraphs_stay_and_still_see_their_tensors(make_network: Make) -> None:
    body = """
        h = Relu (x)
        y = If <then_branch = a () => (float[4] t) { t = Exp (h) }, else_branch = b () => (float[4] e) { e = Neg (h) }> (flag)
    """
    model = make_network(body, inputs="float[4] x, bool flag", outputs="float[4] y")
    changed, decided = converted(model)
    assert decided.kept["If_y"] == "it holds a subgraph"
    assert casts(changed) == ["x_to_x_fp16", "h_fp16_to_h"]


def test_casts_and_constants_made_in_the_graph_change_with_their_readers(make_network: Make) -> None:
    body = """
        f = Cast <to = 1> (ids)
        n = Shape (ids)
        z = ConstantOfShape (n)
        k = Constant <value = float[1] {0.5}> ()
        m = Mul (f, k)
        y = Add (m, z)
    """
    model = make_network(body, inputs="int64[n] ids", outputs="float[n] y")
    changed, decided = converted(model)
    assert not decided.kept
    assert set(input_types(changed, "Mul_m")) == set(input_types(changed, "Add_y")) == {FP16}


def test_an_op_without_a_schema_stays(make_network: Make) -> None:
    model = make_network("h = Relu (x) y = Exp (h)", inputs="float[4] x", outputs="float[4] y")
    model.graph.node[1].domain = "some.vendor"
    model.opset_import.add(domain="some.vendor", version=1)
    model = prepare_graph(model)
    decided = plan(model, FP16)
    assert decided.kept == {"Exp_y": "some.vendor.Exp has no schema here"}


def test_bf16_convolutions_need_opset_22(residual: onnx.ModelProto) -> None:
    _, decided = converted(residual, BF16)
    assert decided.kept["Conv_c1"] == "Conv takes no such type at opset 17"
