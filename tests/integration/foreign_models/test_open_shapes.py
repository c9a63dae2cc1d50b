"""Shapes that a file leaves open: independent leading axes, and ranks that nobody tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.storage.workspace import Workspace
from tests.asked_models import FLOAT, INT64, info

from .building import build, save_arrays, write_onnx

pytestmark = pytest.mark.usefixtures("forked")
RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def graph_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mean over the neighbours' features: as many nodes as there are, and as many edges."""
    folder = tmp_path_factory.mktemp("graph-network")
    nodes = [
        helper.make_node("MatMul", ["nodes", "w"], ["h"]),
        helper.make_node("Gather", ["h", "edges"], ["g"], axis=0),
        helper.make_node("ReduceMean", ["g"], ["y"], axes=[0], keepdims=1),
    ]
    weights = {"w": RNG.normal(size=(4, 3)).astype(np.float32)}
    inputs = [info("nodes", FLOAT, [None, 4]), info("edges", INT64, [None])]
    return write_onnx(folder / "graph.onnx", nodes, inputs, [info("y", FLOAT, [1, 3])], weights)


@pytest.mark.parametrize(
    ("path", "precision"),
    [("onnx.onnxruntime", Precision.FP32), ("onnx.openvino", Precision.FP32), ("onnx.onnxruntime", Precision.INT8)],
)
def test_nodes_and_edges_are_no_batch(
    workspace: Workspace, graph_network: Path, tmp_path: Path, path: str, precision: Precision
) -> None:
    edges = np.array([0, 4, 2, 1, 1, 3, 0, 2])
    given = save_arrays(tmp_path / "given.npz", nodes=RNG.normal(size=(5, 4)).astype(np.float32), edges=edges)
    data = {"calibration": given} if precision.quantizes else {}
    found = build(workspace, graph_network, path, precision, inputs=given, **data)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.parity.inputs == "your data, 1 set"


def test_their_lengths_can_be_asked_for(workspace: Workspace, graph_network: Path) -> None:
    found = build(workspace, graph_network, "onnx.onnxruntime", shapes=["nodes_0=5", "edges_0=8"], ranges={"edges": (0.0, 5.0)})
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    with pytest.raises(InvalidRequest, match=r"no dynamic axis rows.*batch.*nodes_0, edges_0"):
        build(workspace, graph_network, "onnx.onnxruntime", shapes=["rows=5"])


@pytest.mark.parametrize("path", ["onnx.onnxruntime", "onnx.openvino"])
def test_an_onnx_file_without_shapes_takes_those_of_the_inputs(workspace: Workspace, tmp_path: Path, path: str) -> None:
    nodes = [helper.make_node("MatMul", ["a", "b"], ["m"]), helper.make_node("Softmax", ["m"], ["y"], axis=-1)]
    inputs = [info("a", FLOAT, None), info("b", FLOAT, None)]
    model = write_onnx(tmp_path / "unranked.onnx", nodes, inputs, [info("y", FLOAT, None)])
    arrays = {"a": RNG.normal(size=(1, 4, 8)).astype(np.float32), "b": RNG.normal(size=(1, 8, 4)).astype(np.float32)}
    given = save_arrays(tmp_path / "given.npz", **arrays)
    found = build(workspace, model, path, inputs=given)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert any("a [1, 4, 8], b [1, 8, 4]" in note for note in found.notes)


@pytest.mark.parametrize(
    "path",
    [
        "savedmodel.tensorflow.xla",
        "savedmodel.openvino",
        "savedmodel.onnx.openvino",
        "savedmodel.tflite.litert",
    ],
)
def test_a_savedmodel_without_ranks_takes_those_of_the_inputs(
    workspace: Workspace, tensorflow_models: Path, tmp_path: Path, path: str
) -> None:
    given = save_arrays(tmp_path / "given.npz", x=RNG.normal(size=(6, 2)).astype(np.float32))
    found = build(workspace, tensorflow_models / "unranked", path, inputs=given)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.graph is not None
    assert not any("trial run failed" in note for note in found.graph.notes)


def test_without_inputs_the_remedy_is_named(workspace: Workspace, tensorflow_models: Path) -> None:
    error = build(workspace, tensorflow_models / "unranked", "savedmodel.tflite.litert").build.error
    assert error is not None
    assert "--inputs" in error.hint
