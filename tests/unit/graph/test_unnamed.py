from __future__ import annotations

from core.graph.engine_graph import Fate, Layer, LayerTensor
from core.graph.mapping import EngineFacts, Mapped, map_nodes
from tests.unit.graph.test_mapping import graph


def layers(*lines: str) -> list[Layer]:
    """Lines such as `t = Concat a b`: a layer named after the one tensor that it writes."""
    found = []
    for line in lines:
        made, _, right = line.partition(" = ")
        kind, *reads = right.split()
        tensors = tuple(LayerTensor(name=name) for name in reads)
        found.append(Layer(name=made, kind=kind, inputs=tensors, outputs=(LayerTensor(name=made),)))
    return found


def mapped(source: list[str], engine: list[str], claims: dict[str, list[str]], apart: list[str] = []) -> Mapped:  # noqa: B006
    return map_nodes(graph(*source), claims, EngineFacts(layers=layers(*engine), apart=apart))


def test_no_node_is_taken_past_a_layer_that_names_none() -> None:
    found = mapped(
        ["c = Conv x w", "t = Concat c x", "y = Relu t"],
        ["c = Conv x", "odd = Concat c x", "y = Relu odd"],
        {"c": ["c"], "y": ["y"]},
    )
    assert found.carried == {"c": ("c",), "odd": ("t",), "y": ("y",)}


def test_the_only_layer_between_has_all_that_lies_between() -> None:
    found = mapped(
        ["c = Conv x w", "m = Mul c w", "a = Add m w", "y = Relu a"],
        ["c = Conv x", "odd = Subgraph c", "y = Relu odd"],
        {"c": ["c"], "y": ["y"]},
    )
    assert found.carried["odd"] == ("m", "a")


def test_a_layer_of_a_nodes_own_operation_has_that_node() -> None:
    found = mapped(
        ["c = Conv x w", "b = BatchNormalization c w", "t = Transpose b", "y = Relu t"],
        ["c = Conv x", "odd = Transpose c", "y = Relu odd"],
        {"c": ["c"], "y": ["y"]},
    )
    assert found.carried["odd"] == ("b", "t")


def test_which_of_several_layers_has_a_node_is_not_guessed() -> None:
    found = mapped(
        ["c = Conv x w", "m = Mul c w", "a = Add m w", "y = Relu a"],
        ["c = Conv x", "one = Subgraph c", "two = Subgraph one", "y = Relu two"],
        {"c": ["c"], "y": ["y"]},
    )
    assert "one" not in found.carried
    assert [(node.name, node.fate) for node in found.loose] == [("m", Fate.UNMAPPED), ("a", Fate.UNMAPPED)]
    assert "one, two" in found.loose[0].reason


def test_a_node_that_became_several_layers_is_in_each() -> None:
    found = mapped(["s = Softmax x", "y = Relu s"], ["e = Exp x", "d = Div e", "y = Relu d"], {"y": ["y"]})
    assert found.carried == {"e": ("s",), "d": ("s",), "y": ("y",)}


def test_a_layer_with_nothing_between_works_for_the_one_node_around_it() -> None:
    found = mapped(
        ["a = Exp x", "y = MatMul a w"], ["a = Exp x", "shaped = Reshape a", "y = Gemm shaped"], {"a": ["a"], "y": ["y"]}
    )
    assert found.carried == {"a": ("a",), "shaped": ("y",), "y": ("y",)}


def test_copies_stand_apart() -> None:
    found = mapped(
        ["c = Conv x w", "m = Mul c w", "y = Relu m"],
        ["c = Conv x", "copy = Reorder c", "y = Relu copy"],
        {"c": ["c"], "y": ["y"]},
        ["copy"],
    )
    assert found.carried == {"c": ("c",), "y": ("m", "y")}
