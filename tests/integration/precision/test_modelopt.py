"""ModelOpt behind the same interface; needs its own environment, named by ENGINEROOM_MODELOPT_PYTHON."""

from __future__ import annotations

import sys
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from core.base.errors import ConversionFailed, InvalidRequest
from core.base.precision import Precision
from core.onnxio.file import read_onnx, save_onnx
from core.precision import modelopt_environment
from core.precision.calibration.samples import SampleSource
from core.precision.load import load_for
from core.precision.prepare import prepare
from core.precision.record import ENTRY, PrecisionRecord
from core.precision.runner import Runner
from core.precision.settings import CalibrationMethod, PrecisionEngine, PrecisionSettings
from core.precision.study import KEPT_FOR_GOAL, Study
from core.precision.target import parse_target

MODELOPT = PrecisionSettings(engine=PrecisionEngine.MODELOPT)
here = modelopt_environment.availability()
needs_modelopt = pytest.mark.skipif(not here.available, reason=f"{here.reason} {here.hint}")
X = np.random.default_rng(2).normal(size=(8, 16, 12, 12)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two convolutions with a residual Add, wide enough for FP8's rules."""
    rng = np.random.default_rng(3)
    weights = {name: rng.normal(0, 0.08, (16, 16, 3, 3)).astype(np.float32) for name in ("v", "w")}
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w"], ["c"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "b"], ["y"], name="join"),
    ]
    shape = ["batch", 16, 12, 12]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save_onnx(model, tmp_path / "source.onnx")
    np.savez(tmp_path / "data.npz", x=X)
    return tmp_path / "source.onnx"


@needs_modelopt
@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "method", "tolerance"),
    [
        (Precision.FP16, CalibrationMethod.MAX, 0.005),
        (Precision.INT8, CalibrationMethod.MAX, 0.05),
        (Precision.INT8, CalibrationMethod.ENTROPY, 0.5),
    ],
)
def test_it_computes_the_same_function(source: Path, precision: Precision, method: CalibrationMethod, tolerance: float) -> None:
    folder = source.parent / "out"
    folder.mkdir()
    settings, data = replace(MODELOPT, method=method), SampleSource(path=source.parent / "data.npz")
    result = prepare(source, folder, precision, target=parse_target("onnxruntime"), data=data, settings=settings)
    truth = Runner(read_onnx(source), ["y"]).run({"x": X})[0]
    made = Runner(read_onnx(folder / ENTRY), ["y"], exact=True).run({"x": X})[0]
    assert 0 < np.abs(made - truth).max() / np.abs(truth).max() < tolerance
    assert {"first", "second"} <= set(result.converted)
    assert result.engine.startswith("modelopt ")
    assert result.violations == ()
    assert result.stamp == ""


@needs_modelopt
@pytest.mark.slow
def test_a_goal_is_searched_for_with_ranges_of_our_own_and_held_by_its_graph(source: Path) -> None:
    folder = source.parent / "out"
    folder.mkdir()
    data, target = SampleSource(path=source.parent / "data.npz"), parse_target("onnxruntime")
    model, _ = load_for(source, Precision.INT8)
    record = prepare(source, folder, Precision.INT8, target=target, data=data, settings=MODELOPT)
    assert record.ranges is None

    def study(max_rel: float) -> PrecisionRecord:
        asked = Study(
            model=model,
            folder=folder,
            precision=Precision.INT8,
            target=target,
            record=record,
            data=data,
            settings=replace(MODELOPT, max_rel=max_rel),
        )
        return asked.run()

    easy = study(0.05)
    assert easy.remedy is not None
    assert easy.remedy.keep == ()
    before = easy.remedy.rounds[0].max_rel
    assert before is not None
    mended = study(0.95 * before)
    assert mended.remedy is not None
    assert len(mended.remedy.keep) == 1
    assert set(mended.converted) == {"first", "second"} - set(mended.remedy.keep)
    assert mended.kept[mended.remedy.keep[0]] == KEPT_FOR_GOAL
    with pytest.raises(ConversionFailed, match="only with every node in FP32"):
        study(1e-6)


@needs_modelopt
def test_targets_before_opset_19_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"writes int8 at opset 19; tensorrt-8.6 reads 17"):
        prepare(source, tmp_path, Precision.INT8, target=parse_target("tensorrt-8.6"), settings=MODELOPT)


def test_its_failure_is_a_sentence(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that claims to have ModelOpt and does not."""
    environment = tmp_path / "env"
    (environment / "bin").mkdir(parents=True)
    (environment / "lib/python3.11/site-packages/nvidia_modelopt-9.9.dist-info").mkdir(parents=True)
    interpreter = environment / "bin" / "python"
    interpreter.write_text("#!/bin/sh\necho 'ImportError: no ModelOpt' >&2\nexit 3\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv(modelopt_environment.PYTHON_VARIABLE, str(interpreter))
    assert modelopt_environment.availability().version == "9.9"
    with pytest.raises(ConversionFailed, match="ModelOpt failed: ImportError: no ModelOpt"):
        prepare(source, tmp_path, Precision.INT8, target=parse_target("onnxruntime"), settings=MODELOPT)


def test_the_adapter_runs_where_nothing_of_ours_is(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment whose ModelOpt hands the graph back as it came."""
    venv.create(tmp_path / "env")
    packages = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (packages / "nvidia_modelopt-9.9.dist-info").mkdir()
    (packages / "ours.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    (packages / "modelopt" / "onnx").mkdir(parents=True)
    (packages / "modelopt" / "onnx" / "autocast.py").write_text(
        """
import os, sys
import onnx
assert not {"core", "core.base"} & sys.modules.keys() and "PYTHONPATH" not in os.environ
def convert_to_mixed_precision(path, *, calibration_data, opset, **settings):
    assert os.path.samefile(os.getcwd(), os.path.dirname(path)) and os.path.exists(calibration_data)
    return onnx.load(path)
"""
    )
    monkeypatch.setenv(modelopt_environment.PYTHON_VARIABLE, str(tmp_path / "env" / "bin" / "python"))
    target, data = parse_target("onnxruntime"), SampleSource(path=source.parent / "data.npz")
    result = prepare(source, tmp_path, Precision.FP16, target=target, data=data, settings=MODELOPT)
    assert result.engine == "modelopt 9.9"
    assert read_onnx(tmp_path / ENTRY).graph.node[0].name == "first"
