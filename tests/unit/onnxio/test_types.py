"""What is told of a graph's tensors where ONNX's own inference ends."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from core.onnxio.types import tensor_types
from tests.asked_models import CUSTOM, FLOAT, INT64, info, model, node


def kinds(made: onnx.ModelProto) -> dict[str, int]:
    return {name: kind.tensor_type.elem_type for name, kind in tensor_types(made).items()}


def lengths(kind: onnx.TypeProto) -> list[int]:
    return [dim.dim_value for dim in kind.tensor_type.shape.dim]


def test_inferred_types_have_their_shapes() -> None:
    made = model([node("MatMul", "x w", "a"), node("Relu", "a", "y")], weights={"w": np.ones((2, 5), np.float32)})
    found = tensor_types(made)
    assert lengths(found["a"]) == [2, 5]
    assert lengths(found["w"]) == [2, 5]


def test_behind_an_unknown_op_types_come_from_what_reads_it() -> None:
    """y is float and Sigmoid makes what it reads, so b is float; c must be as x is for Add."""
    nodes = [
        node("Fancy", "x", "b c d", domain=CUSTOM),
        node("Sigmoid", "b", "y"),
        node("Add", "c x", "e"),
        node("Cast", "d", "f", to=FLOAT),
    ]
    found = kinds(model(nodes, [info("x", TensorProto.DOUBLE)], [info("y"), info("e", TensorProto.DOUBLE)]))
    assert found["b"] == FLOAT
    assert found["c"] == TensorProto.DOUBLE
    assert "d" not in found  # Cast reads anything


def test_types_go_several_nodes_back() -> None:
    nodes = [
        node("Fancy", "x", "a", domain=CUSTOM),
        *(node("Neg", f"a{n or ''}", f"a{n + 1}") for n in range(5)),
        node("Neg", "a5", "y"),
    ]
    assert kinds(model(nodes))["a"] == FLOAT


def test_a_shape_is_told_of_no_tensor_whose_type_was_only_concluded() -> None:
    made = model([node("Fancy", "x", "b", domain=CUSTOM), node("Sigmoid", "b", "y")])
    assert not tensor_types(made)["b"].tensor_type.HasField("shape")


def test_inputs_of_differing_types_tell_nothing_of_each_other() -> None:
    """A Loop's inputs are variadic and need not be alike."""
    body = helper.make_graph(
        [node("Identity", "on", "still"), node("Identity", "s", "t")],
        "body",
        [info("i", INT64, []), info("on", TensorProto.BOOL, []), info("s")],
        [info("still", TensorProto.BOOL, []), info("t")],
    )
    nodes = [
        node("Fancy", "x", "a", domain=CUSTOM),
        helper.make_node("Loop", ["n", "", "x", "a"], ["y", "z"], name="loop", body=body),
    ]
    made = model(nodes, [info("x"), info("n", INT64, [])])
    assert "a" not in kinds(made)


def test_what_contradicts_itself_still_tells_what_the_file_says() -> None:
    made = model([node("MatMul", "x w", "y")], weights={"w": np.ones((5, 5), np.float32)})
    assert kinds(made)["x"] == FLOAT


def test_entries_without_a_type_tell_nothing() -> None:
    made = model([node("Fancy", "x", "b", domain=CUSTOM), node("Cast", "b", "y", to=FLOAT)])
    made.graph.value_info.append(onnx.ValueInfoProto(name="b"))
    assert "b" not in kinds(made)
