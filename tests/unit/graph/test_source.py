from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from core.base.serialization import from_data, to_data
from core.graph.engine_graph import Fate
from core.graph.fates import Nature, fate
from core.graph.source import drop_fed_weights, is_quantized, nodes_of_onnx

FLOATS = helper.make_tensor_value_info


def model(nodes: list[object], *, inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ("y",)) -> ModelProto:
    def value(name: str) -> object:
        return FLOATS(name, TensorProto.FLOAT, [2])

    weights = [numpy_helper.from_array(np.ones(2, np.float32), "w")]
    return helper.make_model(helper.make_graph(nodes, "g", [value(n) for n in inputs], [value(n) for n in outputs], weights))


def test_unnamed_and_doubly_named_nodes_get_names_of_their_own() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"], name="twice"),
        helper.make_node("Tanh", ["b"], ["y"], name="twice"),
    ]
    graph = nodes_of_onnx(model(nodes))
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == 3
    assert "" not in names
    assert names[1] == "twice"
    assert graph.outputs == ("y",)
    assert graph.constants == ("w",)
    assert from_data(type(graph), to_data(graph)) == graph


def test_repeats_are_found_through_repeats() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="a"),
        helper.make_node("Relu", ["x"], ["b"], name="b"),
        helper.make_node("Elu", ["a"], ["c"], name="c", alpha=1.0),
        helper.make_node("Elu", ["b"], ["d"], name="d", alpha=1.0),
        helper.make_node("Elu", ["b"], ["e"], name="e", alpha=2.0),
        helper.make_node("RandomNormalLike", ["x"], ["f"], name="f"),
        helper.make_node("RandomNormalLike", ["x"], ["g"], name="g"),
        helper.make_node("Sum", ["c", "d", "e", "f", "g"], ["y"], name="y"),
    ]
    graph = nodes_of_onnx(model(nodes))
    assert graph.repeats == {"b": "a", "d": "c"}
    assert graph.random == ("f", "g")


def test_a_branch_counts_as_part_of_its_node_with_what_it_reads() -> None:
    def branch(op: str) -> object:
        return helper.make_graph(
            [helper.make_node(op, ["a", "w"], [f"{op}_out"])], op, [], [FLOATS(f"{op}_out", TensorProto.FLOAT, [2])]
        )

    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="a"),
        helper.make_node("If", ["flag"], ["y"], name="choose", then_branch=branch("Add"), else_branch=branch("Mul")),
    ]
    graph = nodes_of_onnx(model(nodes, inputs=("x", "flag")))
    assert [node.name for node in graph.nodes] == ["a", "choose"]
    assert set(graph.nodes[1].inputs) == {"flag", "a", "w"}
    assert "2 nodes" in graph.notes[0]


def test_weights_are_taken_off_the_inputs() -> None:
    made = model([helper.make_node("Add", ["x", "w"], ["y"], name="y")], inputs=("x", "w"))
    assert drop_fed_weights(made)
    assert [value.name for value in made.graph.input] == ["x"]
    assert not drop_fed_weights(made)


def test_quantized_ops_are_known_in_any_domain() -> None:
    assert is_quantized("QuantizeLinear")
    assert is_quantized("com.microsoft.QLinearAdd")
    assert not is_quantized("Conv")


def test_a_dropout_in_training_mode_is_random_and_no_passing_node() -> None:
    """Its mode is its third input: stored, made by a Constant, or fed."""
    nodes = [
        helper.make_node("Dropout", ["x"], ["plain"], name="plain"),
        helper.make_node("Dropout", ["x", "ratio", "off"], ["idle"], name="idle"),
        helper.make_node("Dropout", ["x", "ratio", "on"], ["first"], name="first"),
        helper.make_node("Dropout", ["x", "ratio", "on"], ["second"], name="second"),
        helper.make_node("Dropout", ["x", "ratio", "mode"], ["fed"], name="fed"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, [4]), helper.make_tensor_value_info("mode", 9, [])],
        [helper.make_tensor_value_info(node.output[0], 1, [4]) for node in nodes],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in {"ratio": np.float32(0.5), "on": np.bool_(True), "off": np.bool_(False)}.items()
        ],
    )
    found = nodes_of_onnx(helper.make_model(graph))
    assert found.random == ("first", "second", "fed")
    assert found.repeats == {}
    lost = {node.name: fate(node, found, Nature(found)) for node in found.nodes}
    assert {name: one.fate for name, one in lost.items()} == {
        "plain": Fate.ELIMINATED,
        "idle": Fate.ELIMINATED,
        **dict.fromkeys(("first", "second", "fed"), Fate.UNMAPPED),
    }


def test_equal_constants_make_equal_nodes() -> None:
    half = [
        helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(np.array(0.5, np.float32)))
        for name in ("k", "l")
    ]
    nodes = [
        *half,
        helper.make_node("Add", ["x", "k"], ["a"], name="one"),
        helper.make_node("Add", ["x", "l"], ["b"], name="other"),
        helper.make_node("Mul", ["a", "b"], ["y"], name="product"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])])
    assert nodes_of_onnx(helper.make_model(graph)).repeats == {"other": "one"}
