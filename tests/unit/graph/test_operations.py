"""What models compute, read from their own formats: SavedModels, frozen graphs and Keras configs, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base.tensors import Signature, TensorSpec
from core.graph.keras_source import layers_of_keras
from core.graph.operations import operations
from core.models.model import Format
from core.models.savedmodel import read_savedmodel, signature_graph
from core.models.tf_schema import parse
from sample_models.make_models import sample


def test_a_savedmodel_tells_its_operations_and_what_flows_between_them() -> None:
    folder = sample("digits")
    read = read_savedmodel(folder)
    found = operations(Format.SAVEDMODEL, folder, read.signatures[0])
    kinds = [node.op for node in found]
    for op in ("Conv2D", "MatMul", "Relu", "Softmax"):
        assert kinds.count(op) == read.ops[op]
    assert not {"Identity", "ReadVariableOp", "VarHandleOp", "Const", "Placeholder"} & set(kinds)
    made = {node.name for node in found}
    (first,) = [node for node in found if any(name not in made for name in node.inputs)]
    assert first.op == "Conv2D"
    read_by_others = {name for node in found for name in node.inputs}
    assert [node.op for node in found if node.name not in read_by_others] == ["Softmax"]


def test_each_signature_has_operations_of_its_own() -> None:
    folder = sample("two_signatures")
    found = {
        signature.name: [node.op for node in operations(Format.SAVEDMODEL, folder, signature)]
        for signature in read_savedmodel(folder).signatures
    }
    assert found == {"decode": ["MatMul", "Relu", "MatMul", "Pow", "Sum"], "encode": ["MatMul", "Relu", "MatMul", "Tanh"]}


def test_a_frozen_graph_is_followed_back_from_its_outputs(tmp_path: Path) -> None:
    graph = parse("GraphDef", b"", "graph.pb")
    nodes = [
        ("x", "Placeholder", []), ("w", "Const", []), ("a", "MatMul", ["x", "w"]), ("same", "Identity", ["a"]),
        ("y", "Relu", ["same"]), ("unused", "Tanh", ["x"]),
    ]  # fmt: skip
    for name, op, reads in nodes:
        graph.node.add(name=name, op=op, input=reads)
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    ends = [(TensorSpec(name=name, dtype="float32", shape=None),) for name in ("x", "y")]
    found = operations(Format.GRAPHDEF, tmp_path / "graph.pb", Signature(name="main", inputs=ends[0], outputs=ends[1]))
    assert [(node.op, node.inputs) for node in found] == [("MatMul", ("x",)), ("Relu", ("a",))]


def test_only_what_a_signature_needs_is_in_its_graph() -> None:
    folder = sample("two_signatures")
    whole = {node.name for name in ("encode", "decode") for node in signature_graph(folder, name).node}
    assert len(signature_graph(folder, "encode").node) < len(whole)


KERAS_3 = {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "dtype": "float32"}}


def keras_3(*names: str) -> list[object]:
    return [{"args": [[{**KERAS_3, "config": {"keras_history": [name, 0, 0]}} for name in names]], "kwargs": {}}]


def keras_2(*names: str) -> list[object]:
    return [[[name, 0, 0, {}] for name in names]]


@pytest.mark.parametrize("inbound", [keras_3, keras_2])
def test_a_functional_keras_model_tells_its_branches(inbound) -> None:  # type: ignore[no-untyped-def]
    layers = [
        ("image", "InputLayer", ()),
        ("left", "Dense", ("image",)),
        ("right", "Dense", ("image",)),
        ("sum", "Add", ("left", "right")),
    ]
    config = {
        "class_name": "Functional",
        "config": {
            "layers": [
                {"class_name": kind, "config": {"name": name}, "inbound_nodes": inbound(*reads) if reads else []}
                for name, kind, reads in layers
            ]
        },
    }
    assert [(node.name, node.op, node.inputs) for node in layers_of_keras(config)] == layers


def test_a_sequential_keras_models_layers_follow_each_other() -> None:
    layers = [{"class_name": "Dense", "config": {"name": name}} for name in "abc"]
    found = layers_of_keras({"class_name": "Sequential", "config": {"layers": layers}})
    assert [(node.name, node.inputs) for node in found] == [("a", ()), ("b", ("a",)), ("c", ("b",))]
