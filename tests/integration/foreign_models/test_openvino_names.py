"""OpenVINO's names for a model's ends: inputs that pass straight through, graphs that fold away, weights without elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from core.graph.engine_graph import Fate
from core.storage.workspace import Workspace
from tests.asked_models import FLOAT, INT64, info

from .building import build, write_onnx

pytestmark = pytest.mark.usefixtures("forked")
NODE = helper.make_node
SEQUENCE = [
    NODE("SequenceConstruct", ["a", "b", "c"], ["s"]),
    NODE("SequenceErase", ["s", "second"], ["t"]),
    NODE("SequenceAt", ["t", "second"], ["y"]),
]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([NODE("Dropout", ["a"], ["y"]), NODE("Sub", ["b", "c"], ["z"])], ["y", "z"]),
        ([NODE("Dropout", ["c"], ["y"]), NODE("Dropout", ["a"], ["z"]), NODE("Relu", ["b"], ["r"])], ["y", "z", "r"]),
        ([NODE("Identity", ["b"], ["y"]), NODE("Sub", ["a", "c"], ["z"])], ["y", "z"]),
        (SEQUENCE, ["y"]),
    ],
    ids=["one", "several", "identity", "sequence"],
)
def test_inputs_that_pass_straight_through_keep_their_names(
    workspace: Workspace, tmp_path: Path, nodes: list[NodeProto], outputs: list[str]
) -> None:
    inputs = [info(name, FLOAT, [2, 3]) for name in "abc"]
    weights = {"second": np.int64(1)} if nodes is SEQUENCE else {}
    model = write_onnx(tmp_path / "through.onnx", nodes, inputs, [info(name, FLOAT, [2, 3]) for name in outputs], weights)
    found = build(workspace, model, "onnx.openvino")
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.measurement is not None


def test_a_graph_that_folds_to_a_constant_says_so(workspace: Workspace, tmp_path: Path) -> None:
    nodes = [NODE("Transpose", ["x"], ["t"], perm=[1, 0]), NODE("Shape", ["t"], ["y"])]
    model = write_onnx(tmp_path / "shape.onnx", nodes, [info("x", FLOAT, [2, 3])], [info("y", INT64, [2])])
    found = build(workspace, model, "onnx.openvino")
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.graph is not None
    assert not [node for node in found.graph.loose_nodes if node.fate is Fate.UNMAPPED]


def test_a_weight_without_elements_that_could_be_overridden_is_no_input(workspace: Workspace, tmp_path: Path) -> None:
    nodes = [NODE("Concat", ["x", "none"], ["y"], axis=0)]
    inputs = [info("x", FLOAT, [2]), info("none", FLOAT, [0])]
    model = write_onnx(tmp_path / "none.onnx", nodes, inputs, [info("y", FLOAT, [2])], {"none": np.zeros(0, np.float32)})
    found = build(workspace, model, "onnx.openvino")
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
