"""Parts of graphs as models of their own, held against onnx's checker and reference evaluator."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from core.onnxio.parts import Alone, cut_out, reads
from core.onnxio.types import tensor_types
from tests.asked_models import CUSTOM, branches, custom_between, info, model, node


def names(values: object) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]


def alone(made: onnx.ModelProto, *chosen: str) -> onnx.ModelProto:
    return Alone(made, tensor_types(made)).model_of([one for one in made.graph.node if one.name in chosen])


def test_a_node_alone_takes_what_others_make_and_keeps_its_weights() -> None:
    weight = np.arange(4, dtype=np.float32).reshape(2, 2)
    made = model([node("Relu", "x", "a"), node("MatMul", "a w", "y", "it")], weights={"w": weight, "other": weight})
    part = alone(made, "it")
    onnx.checker.check_model(part, full_check=True)
    assert (names(part.graph.input), names(part.graph.initializer), names(part.graph.output)) == (["a"], ["w"], ["y"])
    given = np.array([[1, 2], [3, 4]], np.float32)
    (got,) = ReferenceEvaluator(part).run(None, {"a": given})
    np.testing.assert_array_equal(got, given @ weight)


def test_constants_go_along_as_nodes() -> None:
    value = helper.make_tensor("v", onnx.TensorProto.INT64, [2], [4, 1])
    made = model(
        [
            node("Relu", "x", "a"),
            helper.make_node("Constant", [], ["s"], name="k", value=value),
            node("Reshape", "a s", "y", "it"),
        ]
    )
    part = alone(made, "it")
    assert [one.op_type for one in part.graph.node] == ["Constant", "Reshape"]
    assert names(part.graph.input) == ["a"]


def test_several_nodes_give_what_none_of_them_reads() -> None:
    made = model([node("Relu", "x", "a", "one"), node("Neg", "a", "b", "two"), node("Abs", "b", "y", "three")])
    part = alone(made, "one", "two")
    assert (names(part.graph.input), names(part.graph.output)) == (["x"], ["b"])


def test_what_a_branch_takes_from_outside_is_an_input() -> None:
    made = branches()
    owner = next(one for one in made.graph.node if one.op_type == "If")
    assert reads(owner) == ["c", "x"]
    part = alone(made, owner.name)
    onnx.checker.check_model(part)
    assert names(part.graph.input) == ["c", "x"]


def test_the_functions_that_a_node_calls_go_along() -> None:
    made = model([node("Outer", "x", "y", "it", domain=CUSTOM)])
    opsets = made.opset_import
    bodies = {"Unused": node("Abs", "a", "b"), "Inner": node("Relu", "a", "b"), "Outer": node("Inner", "a", "b", domain=CUSTOM)}
    for name, body in bodies.items():
        made.functions.append(helper.make_function(CUSTOM, name, ["a"], ["b"], [body], opsets))
    part = alone(made, "it")
    assert sorted(function.name for function in part.functions) == ["Inner", "Outer"]
    (got,) = ReferenceEvaluator(part).run(None, {"x": np.array([[-1, 2], [3, -4]], np.float32)})
    np.testing.assert_array_equal(got, [[0, 2], [3, 0]])


def test_a_tensor_of_which_nothing_is_told_is_of_the_undefined_type() -> None:
    part = alone(custom_between(), "odd one")
    assert part.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    made = model([node("Fancy", "x", "b", "it", domain=CUSTOM), node("Cast", "b", "y", to=onnx.TensorProto.FLOAT)])
    assert alone(made, "it").graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UNDEFINED


def test_without_some_nodes_the_rest_takes_what_they_made() -> None:
    made = custom_between()
    cut_out(made, {"odd one"}, tensor_types(made))
    assert names(made.graph.node) == ["before", "after"]
    assert names(made.graph.input) == ["x", "b"]
    assert names(made.graph.output) == ["y"]
    given = {"x": np.zeros((2, 2), np.float32), "b": np.zeros((2, 2), np.float32)}
    (got,) = ReferenceEvaluator(made).run(None, given)
    np.testing.assert_array_equal(got, np.full((2, 2), 0.5))


def test_what_only_they_read_goes_with_them() -> None:
    """The input z and the weight w are the cut node's alone; v is another's too."""
    weight = np.ones((2, 2), np.float32)
    nodes = [node("Sum", "z w v", "a", "gone"), node("Add", "x v", "b"), node("Add", "a b", "y")]
    made = model(nodes, [info("x"), info("z")], weights={"w": weight, "v": weight})
    cut_out(made, {"gone"}, tensor_types(made))
    assert names(made.graph.input) == ["x", "a"]
    assert names(made.graph.initializer) == ["v"]


def test_when_the_outputs_go_what_nobody_reads_is_given_instead() -> None:
    made = model([node("Relu", "x", "a"), node("Neg", "a", "b"), node("Fancy", "b", "y", "gone", domain=CUSTOM)])
    cut_out(made, {"gone"}, tensor_types(made))
    assert names(made.graph.output) == ["b"]
