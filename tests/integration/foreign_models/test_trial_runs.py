"""Trial runs are made on what the build is judged on, and an output without elements is no failure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from core.storage.builds import State
from core.storage.workspace import Workspace
from tests.asked_models import INT64, info

from .building import build, save_arrays, write_onnx

pytestmark = pytest.mark.usefixtures("forked")


def test_litert_may_find_nothing(workspace: Workspace, tensorflow_models: Path, tmp_path: Path) -> None:
    """On random numbers below 2, `where(x > 5)` is empty."""
    found = build(workspace, tensorflow_models / "found", "savedmodel.tflite.litert")
    assert found.build.state is State.DONE
    assert found.parity is not None
    assert any("were empty for all inputs: at" in note for note in found.parity.notes)
    given = save_arrays(tmp_path / "given.npz", x=np.arange(12, dtype=np.int32).reshape(3, 4))
    found = build(workspace, tensorflow_models / "found", "savedmodel.tflite.litert", inputs=given)
    assert found.parity is not None
    assert found.parity.on_par is True


@pytest.mark.parametrize("path", ["onnx.onnxruntime", "onnx.openvino"])
def test_ranges_hold_for_trial_runs_too(workspace: Workspace, tmp_path: Path, path: str) -> None:
    """A step of 0 ends OpenVINO's process, and zeros have such."""
    inputs = [info(name, INT64, []) for name in ("start", "limit", "step")]
    nodes = [helper.make_node("Range", ["start", "limit", "step"], ["y"])]
    model = write_onnx(tmp_path / "range.onnx", nodes, inputs, [info("y", INT64, ["n"])])
    found = build(workspace, model, path, ranges={"step": (1.0, 3.0), "limit": (5.0, 9.0)})
    assert found.build.state is State.DONE
    assert found.parity is not None
    assert found.parity.on_par is True
    assert found.graph is not None
    assert not any("trial run failed" in note for note in found.graph.notes)
