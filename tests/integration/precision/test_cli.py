"""`engineroom precision` as people and scripts use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from onnx import helper, numpy_helper
from typer.testing import CliRunner, Result

from core.base.box.walls import SANDBOX_VARIABLE
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.base.progress import Report
from core.cli.precision import register
from core.onnxio.file import save_onnx
from core.precision import work
from core.precision.calibration.samples import SampleSource
from core.precision.record import PrecisionRecord
from core.precision.settings import PrecisionSettings

RNG = np.random.default_rng(0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier of 16 features whose hidden layer's squares leave FP16's range."""
    weights = {"w": RNG.normal(0, 20, (16, 256)), "v": RNG.normal(0, 1, (256, 4)), "axes": np.array([1])}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="widen"),
        helper.make_node("Mul", ["h", "h"], ["squared"], name="square"),
        helper.make_node("ReduceSum", ["squared", "axes"], ["total"], name="sum"),
        helper.make_node("Sqrt", ["total"], ["norm"], name="root"),
        helper.make_node("Div", ["h", "norm"], ["unit"], name="divide"),
        helper.make_node("MatMul", ["unit", "v"], ["y"], name="classify"),
    ]
    kinds = {name: array if array.dtype.kind == "i" else array.astype(np.float32) for name, array in weights.items()}
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 16])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(array, name) for name, array in kinds.items()],
    )
    save_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=RNG.uniform(-1, 1, (20, 16)).astype(np.float32))
    return tmp_path / "model.onnx"


def run(*words: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["precision", *(str(word) for word in words)])


def told(*words: object, code: int = 0) -> object:
    result = run(*words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_convert_check_and_reuse_of_ranges(model: Path) -> None:
    folder = model.parent
    made = told("convert", model, folder / "int8", "-p", "int8", "-t", "tensorrt-8.6", "-d", folder / "data.npz")
    assert made["converted"] == ["widen", "classify"]  # type: ignore[index]
    assert made["builder_flags"] == ["INT8", "FP16"]  # type: ignore[index]
    assert run("check", folder / "int8" / "model.onnx", "-t", "tensorrt-8.6").exit_code == 0
    told("calibrate", model, folder / "ranges.json", "-d", folder / "data.npz")
    again = told("convert", model, folder / "again", "-p", "int8", "--ranges", folder / "ranges.json")
    assert again["stamp"] == ""  # type: ignore[index]
    uncalibrated = run("convert", model, folder / "random", "-p", "int8")
    assert "uncalibrated, do not deploy" in uncalibrated.output
    stored = told("check", folder / "again" / "model.onnx", "-t", "tensorrt-8.6", code=1)
    rules = {violation["rule"] for violation in stored}  # type: ignore[union-attr]
    assert {"weights are FP32 behind Q and DQ", "quantized types are signed"} <= rules
    assert run("check", folder / "again" / "model.onnx", "-t", "onnxruntime").exit_code == 0


def test_sensitivity_names_the_overflow_and_finds_the_remedy(model: Path) -> None:
    data = model.parent / "data.npz"
    found = told("sensitivity", model, "-p", "fp16", "-d", data)
    assert found["first_bad"]["node"] == "sum"  # type: ignore[index]
    remedy = told("sensitivity", model, "-p", "fp16", "-d", data, "--max-rel", 0.01)
    assert {"sum", "root"} <= set(remedy["keep"])  # type: ignore[index]
    shown = run("sensitivity", model, "-p", "fp16", "-d", data, "--max-rel", 0.01)
    assert "--keep 'sum'" in shown.output
    kept = told("sensitivity", model, "-p", "fp16", "-d", data, "--keep", "sum", "--keep", "root")
    assert kept["first_bad"] is None  # type: ignore[index]


def test_an_impossible_goal_exits_as_failed_parity(model: Path) -> None:
    result = run("sensitivity", model, "-p", "int8", "-d", model.parent / "data.npz", "--max-rel", -1)
    assert result.exit_code == 11


def test_advice() -> None:
    found = told("advise", "-t", "tensorrt-10.1", "--compute-capability", "8.6")
    assert {one["precision"]: one["supported"] for one in found}["fp8"] is False  # type: ignore[union-attr]
    assert "AMX" in run("advise", "-t", "onnxruntime").output or "has a" in run("advise", "-t", "onnxruntime").output


@pytest.mark.parametrize(
    "words",
    [
        ("-p", "int8", "--image-size", "big"),
        ("-p", "int8", "--image-layout", "chw"),
        ("-p", "int8", "--image-mean", "a,b"),
        ("-p", "fp16", "--target", "coreml"),
        ("-p", "int8", "--expected", "x=1"),
        ("-p", "int8", "--data", "nowhere.npz"),
    ],
)
def test_bad_input_is_a_sentence(model: Path, words: tuple[str, ...]) -> None:
    result = run("convert", model, model.parent / "out", *words)
    assert isinstance(result.exception, EngineRoomError)
    assert result.exception.hint


def test_the_users_files_are_opened_in_a_box(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it may not read beside them it does not read, and what it leaves is looked at."""
    secret = model.parent.parent / "secret.npz"
    np.savez(secret, x=np.zeros((4, 16), np.float32))
    data = model.parent / "given"
    data.mkdir()
    for deed, words in (("reaching_out", "Permission denied"), ("leaving_a_link", "is not a plain file")):
        monkeypatch.setattr(work, "convert", globals()[deed])
        out = model.parent / deed
        result = run("convert", model, out, "-p", "fp16", "-d", data)
        assert result.exit_code == 1, result.output
        assert words in str(result.exception)
        assert not out.exists()
    monkeypatch.setenv(SANDBOX_VARIABLE, "off")
    monkeypatch.setattr(work, "convert", reaching_out)
    assert "was read" in str(run("convert", model, model.parent / "off", "-p", "fp16", "-d", data).exception)
    assert [path.name for path in model.parent.glob("engineroom-*")] == []


def reaching_out(
    model: Path, folder: Path, precision: Precision, target: str, data: SampleSource, settings: PrecisionSettings, report: Report
) -> PrecisionRecord:
    try:
        (model.parent.parent / "secret.npz").read_bytes()
    except OSError as error:
        raise EngineRoomError(str(error)) from error
    raise EngineRoomError("It was read.")


def leaving_a_link(
    model: Path, folder: Path, precision: Precision, target: str, data: SampleSource, settings: PrecisionSettings, report: Report
) -> PrecisionRecord:
    folder.mkdir()
    (folder / "model.onnx").symlink_to("/etc/passwd")
    return PrecisionRecord(target="onnxruntime", engine="light")
