"""The rule book of bench/mapping finds what is put where it cannot be, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from bench.mapping.rules import misplaced, without_node
from bench.mapping.score import Ask, scored
from core.backends.base import Backend, Engine, backend_named
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode
from core.graph.source import SourceGraph

NODES = (
    SourceNode(name="left", op="Exp", inputs=("x",), outputs=("l",)),
    SourceNode(name="right", op="Log", inputs=("x",), outputs=("r",)),
    SourceNode(name="product", op="MatMul", inputs=("l", "w"), outputs=("p",)),
    SourceNode(name="sum", op="Add", inputs=("p", "r"), outputs=("y",)),
)
SOURCE = SourceGraph(nodes=NODES, constants=("w",), outputs=("y",))


def layer(line: str, *nodes: str, shape: tuple[int, ...] | None = None) -> Layer:
    """A line such as `p = MatMul l`: a layer named after the one tensor that it writes."""
    made, _, right = line.partition(" = ")
    kind, *reads = right.split()
    written = LayerTensor(name=made, shape=shape)
    return Layer(name=made, kind=kind, inputs=tuple(map(tensor, reads)), outputs=(written,), source_nodes=nodes)


def tensor(name: str) -> LayerTensor:
    return LayerTensor(name=name)


RIGHT = EngineGraph(
    layers=(
        layer("l = Exp x", "left"),
        layer("r = Log x", "right"),
        layer("m = MatMul l", "product"),
        layer("y = Add m r", "sum"),
    ),
    source_nodes=NODES,
)


def with_layers(*layers: Layer) -> EngineGraph:
    return replace(RIGHT, layers=layers)


def found(graph: EngineGraph, elements: dict[str, int] | None = None) -> set[tuple[str, str, str]]:
    return {(one.node, one.layer, one.rule) for one in misplaced(graph, SOURCE, elements)}


def test_a_right_mapping_breaks_no_rule() -> None:
    assert found(RIGHT) == set()
    assert without_node(RIGHT) == []


def test_a_node_is_where_its_tensor_is_written() -> None:
    left, right, product, last = RIGHT.layers
    wrong = with_layers(replace(left, source_nodes=()), right, replace(product, source_nodes=("left", "product")), last)
    assert ("left", "m", "written elsewhere") in found(wrong)
    assert [one.name for one in without_node(wrong)] == ["l"]


def test_what_a_node_reads_leads_to_it() -> None:
    left, right, product, last = RIGHT.layers
    wrong = with_layers(left, replace(right, source_nodes=("right", "product")), replace(product, source_nodes=()), last)
    assert ("product", "r", "out of order") in found(wrong)


def test_a_product_is_in_no_other_layer_while_one_of_its_kind_is_idle() -> None:
    left, right, product, last = RIGHT.layers
    wrong = with_layers(left, right, replace(product, source_nodes=()), replace(last, source_nodes=("product", "sum")))
    assert found(wrong) == {("product", "y", "beside an idle layer")}


def test_a_layer_of_one_node_writes_as_much_as_the_node_makes() -> None:
    left, right, _, last = RIGHT.layers
    wrong = with_layers(left, right, layer("m = MatMul l", "product", shape=(3, 4)), last)
    assert found(wrong, {"p": 12}) == set()
    assert found(wrong, {"p": 6}) == {("product", "m", "another size")}


def test_values_tell_of_a_node_in_a_layer_that_does_not_compute_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's mapping of a small graph, right as it is, and with one node moved into the layer behind it."""
    nodes = [
        helper.make_node("Exp", ["x"], ["e"], name="exp"),
        helper.make_node("Softmax", ["e"], ["s"], name="softmax"),
        helper.make_node("Neg", ["s"], ["y"], name="neg"),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [info("x", TensorProto.FLOAT, [2, 8])], [info("y", TensorProto.FLOAT, [2, 8])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "m.onnx")
    ask = Ask(model=str(tmp_path / "m.onnx"), engine="onnxruntime")
    right = scored(ask)
    assert right["by_value"]
    assert (right["nodes"], right["wrong"], right["unmapped"]) == (3, 0, 0)

    backend = type(backend_named("onnxruntime"))
    describe = backend.describe

    def shifted(self: Backend, engine: Engine) -> EngineGraph:
        told = describe(self, engine)
        moved = {"exp": ("exp",), "softmax": ("softmax",), "neg": ("exp", "neg")}
        return replace(told, layers=tuple(replace(one, source_nodes=moved[one.name]) for one in told.layers))

    monkeypatch.setattr(backend, "describe", shifted)
    wrong = scored(ask)
    assert [(one["node"], one["layer"], one["rule"]) for one in wrong["wrong_nodes"]] == [("exp", "neg", "other values")]
