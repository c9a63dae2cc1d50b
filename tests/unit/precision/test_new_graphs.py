"""Graphs of opsets that came after this program: less precision leaves them at their own, for the runtime to judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import defs, helper

from core.base.precision import Precision
from core.onnxio.file import save_onnx
from core.onnxio.walk import opset
from core.precision.opset import fit_opset
from core.precision.prepare import prepare
from core.precision.target import parse_target

from .conftest import Make

RNG = np.random.default_rng(0)
X = RNG.random((2, 8), dtype=np.float32)
BODY = "a = MatMul (x, w) b = Swish (a) c = RMSNormalization (b, g) y = MatMul (c, v)"
WEIGHTS = {"w": RNG.normal(size=(8, 16)), "g": np.ones(16), "v": RNG.normal(size=(16, 4))}


@pytest.fixture
def newer(make_network: Make) -> onnx.ModelProto:
    """Of an opset that ops without an older form came with."""
    model = make_network(BODY, inputs="float[2,8] x", outputs="float[2,4] y", weights=WEIGHTS, opset=24)
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    return model


def run(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": X})[0])


@pytest.mark.parametrize(("precision", "tolerance"), [(Precision.FP16, 0.01), (Precision.INT8, 0.1)])
def test_a_newer_graph_computes_the_same_in_less(
    newer: onnx.ModelProto, precision: Precision, tolerance: float, tmp_path: Path
) -> None:
    save_onnx(newer, tmp_path / "newer.onnx")
    (tmp_path / "made").mkdir()
    record = prepare(tmp_path / "newer.onnx", tmp_path / "made", precision, target=parse_target("onnxruntime"))
    assert record.opset == 24
    assert {"MatMul_a", "MatMul_y"} <= set(record.converted)
    expected, found = run(tmp_path / "newer.onnx"), run(tmp_path / "made" / record.entry)
    assert 0 < np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16, Precision.INT8])
@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_runtimes_here_get_the_newest_opset_as_it_is(make_network: Make, precision: Precision, target: str) -> None:
    newest = defs.onnx_opset_version()
    model = make_network("y = Relu (x)", inputs="float[2] x", outputs="float[2] y", opset=newest)
    assert fit_opset(model, precision, parse_target(target)) is model


def test_one_that_is_known_to_read_less_gets_an_older_form_where_there_is_one(newer: onnx.ModelProto, make_network: Make) -> None:
    target = parse_target("tensorrt-10.1")  # it reads up to 20
    older = make_network("y = Relu (x)", inputs="float[2] x", outputs="float[2] y", opset=24)
    assert opset(fit_opset(older, Precision.FP16, target)) == 20
    assert fit_opset(newer, Precision.FP16, target) is newer
