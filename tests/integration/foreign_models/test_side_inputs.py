"""INT8 of a network with a factor or a mask beside its data that is the same in all samples, zero even."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from core.base.precision import Precision
from core.storage.workspace import Workspace
from tests.asked_models import FLOAT, info

from .building import build, save_arrays, write_onnx

pytestmark = pytest.mark.usefixtures("forked")


@pytest.mark.parametrize("path", ["onnx.onnxruntime", "onnx.openvino"])
def test_constant_side_inputs_are_calibrated_and_told(workspace: Workspace, tmp_path: Path, path: str) -> None:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"]),
        helper.make_node("Mul", ["h", "factor"], ["s"]),
        helper.make_node("MatMul", ["offset", "v"], ["o"]),
        helper.make_node("Add", ["s", "o"], ["y"]),
    ]
    weights = {"w": rng.normal(size=(16, 8)).astype(np.float32), "v": rng.normal(size=(8, 8)).astype(np.float32)}
    inputs = [info("x", FLOAT, ["N", 16]), info("factor", FLOAT, ["N", 1]), info("offset", FLOAT, ["N", 8])]
    model = write_onnx(tmp_path / "side.onnx", nodes, inputs, [info("y", FLOAT, ["N", 8])], weights)
    x = rng.normal(size=(32, 16)).astype(np.float32)
    data = save_arrays(tmp_path / "data.npz", x=x, factor=np.ones((32, 1), np.float32), offset=np.zeros((32, 8), np.float32))
    found = build(workspace, model, path, Precision.INT8, inputs=data, calibration=data)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.prepared is not None
    assert found.prepared.precision is not None
    told = " ".join((*found.notes, *found.prepared.precision.notes))
    assert "factor is 1 in all of the calibration data" in told
