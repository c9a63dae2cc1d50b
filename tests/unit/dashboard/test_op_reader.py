"""The operations of ONNX files, as the model page shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.analysis.layer_graph import layer_edges, whole
from core.analysis.layers import layer_rows
from core.base.errors import BrokenModel
from core.base.tensors import Signature
from core.graph.engine_graph import EngineGraph
from core.models.model import Format
from dashboard.components.op_graph import graph_data
from dashboard.op_reader import read_ops
from dashboard.op_source import ModelForm, op_graph_of

ANY = Signature(name="main", inputs=(), outputs=())


def form(path: Path) -> ModelForm:
    return ModelForm(title="As uploaded", path=path, format=Format.ONNX)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """x -> Relu -> Add(weights, constant) -> y, with a Constant node."""
    nodes = [
        helper.make_node("Constant", [], ["one"], name="one", value=numpy_helper.from_array(np.ones(3, np.float32))),
        helper.make_node("Relu", ["x"], ["a"], name="block/relu"),
        helper.make_node("Add", ["a", "weights"], ["b"], name="block/Add"),
        helper.make_node("Mul", ["b", "one"], ["y"], name=""),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy"]
    weights = numpy_helper.from_array(np.ones(3, np.float32), "weights")
    model = helper.make_model(helper.make_graph(nodes, "main", ends[:1], ends[1:], [weights]), ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_constants_are_left_out_and_tensors_tie_the_rest(path: Path) -> None:
    graph = read_ops(Format.ONNX, path, ANY)
    assert [layer.kind for layer in graph.layers] == ["Relu", "Add", "Mul"]
    assert layer_edges(graph) == ((1, 2), (2, 3))


def test_the_child_reads_the_same(path: Path) -> None:
    assert op_graph_of(form(path), ANY) == read_ops(Format.ONNX, path, ANY)


def test_what_is_no_onnx_is_told(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"nonsense")
    with pytest.raises(BrokenModel, match=r"could not be read as ONNX|no ONNX graph"):
        op_graph_of(form(tmp_path / "net.onnx"), ANY)


def test_an_operation_is_named_by_what_says_more_than_its_kind(path: Path) -> None:

    graph: EngineGraph = read_ops(Format.ONNX, path, ANY)
    rows = layer_rows(graph)
    data = graph_data("net", graph, rows, whole(3, layer_edges(graph)), 2, shows_all=True)
    assert [node["title"] for node in data["nodes"]] == ["Relu", "Add", "Mul"]
    assert data["nodes"][1]["subtitle"] == "block"
    assert data["selected"] == 2
    assert "3 operations of 3" in data["label"]
