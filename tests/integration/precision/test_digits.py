"""A real network on real data: the digits CNN in every precision, on the runtimes that a CPU has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.parity.result import Accuracy
from core.precision.calibration.labelled import Labelled, labelled_accuracy, open_labelled
from core.precision.calibration.samples import SampleSource
from core.precision.load import load_for
from core.precision.prepare import prepare
from core.precision.record import ENTRY
from core.precision.sensitivity import make_trial
from core.precision.target import parse_target
from sample_models.make_models import sample

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits CNN as ONNX, converted in a process of its own."""
    folder = tmp_path_factory.mktemp("digits")
    command = [sys.executable, "-m", "bench.networks", str(sample("digits")), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def labelled(digits: Path) -> Labelled:
    return open_labelled(sample("digits_test"), graph_signature(read_onnx(digits)))


@pytest.fixture(scope="module")
def reference(digits: Path, labelled: Labelled) -> Accuracy:
    return labelled_accuracy(read_onnx(digits), labelled)


def calibration(folder: Path, factor: float = 1.0) -> Path:
    with np.load(sample("digits_test")) as file:
        np.savez(folder / "calibration.npz", image=file["image"][:100] * np.float32(factor))
    return folder / "calibration.npz"


def prepared(digits: Path, folder: Path, precision: Precision, target: str, **how: object) -> onnx.ModelProto:
    out = folder / "out"
    out.mkdir()
    prepare(digits, out, precision, target=parse_target(target), **how)  # type: ignore[arg-type]
    return read_onnx(out / ENTRY)


def test_the_reference_is_a_network_worth_testing(reference: Accuracy) -> None:
    assert reference.samples >= 300
    assert reference.top1 > 0.95


@pytest.mark.parametrize(
    ("precision", "target"),
    [
        (precision, target)
        for target in ("onnxruntime", "tensorrt-8.6", "tensorrt-11.0")
        for precision in (Precision.FP16, Precision.INT8, Precision.FP8)
        if (precision, target) != (Precision.FP8, "tensorrt-8.6")  # which has none
    ],
)
def test_accuracy_stays_within_a_point(
    digits: Path, labelled: Labelled, reference: Accuracy, tmp_path: Path, precision: Precision, target: str
) -> None:
    model = prepared(digits, tmp_path, precision, target, data=SampleSource(path=calibration(tmp_path)))
    found = labelled_accuracy(model, labelled, exact=precision is Precision.FP8)
    assert found.top1 >= reference.top1 - 0.01


def test_emulated_bf16_stays_within_a_point(digits: Path, labelled: Labelled, reference: Accuracy) -> None:
    trial = make_trial(load_for(digits, Precision.BF16)[0], Precision.BF16)
    assert labelled_accuracy(trial.model, labelled, exact=True).top1 >= reference.top1 - 0.01


def test_the_wrong_scale_ruins_it_and_is_found_first(
    digits: Path, labelled: Labelled, reference: Accuracy, tmp_path: Path
) -> None:
    data = calibration(tmp_path, factor=255)
    expecting = SampleSource(path=data, expected={"image": (0.0, 1.0)})
    with pytest.raises(EngineRoomError, match="where the model expects 0 to 1: the scale is wrong"):
        prepare(digits, tmp_path, Precision.INT8, target=parse_target("onnxruntime"), data=expecting)
    model = prepared(digits, tmp_path, Precision.INT8, "onnxruntime", data=SampleSource(path=data))
    assert labelled_accuracy(model, labelled).top1 < reference.top1 - 0.5


def test_openvino_runs_the_same_graph(digits: Path, labelled: Labelled, reference: Accuracy, tmp_path: Path) -> None:
    import openvino

    prepared(digits, tmp_path, Precision.INT8, "openvino", data=SampleSource(path=calibration(tmp_path)))
    compiled = openvino.Core().compile_model(tmp_path / "out" / ENTRY, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with np.load(sample("digits_test")) as file:
        scores = compiled(file["image"])[0]
        top1 = float(np.mean(scores.argmax(axis=1) == file["labels"]))
    assert top1 >= reference.top1 - 0.01
    kinds = [str(node.get_rt_info()["runtimePrecision"].astype(str)) for node in compiled.get_runtime_model().get_ops()]
    assert any(kind in ("i8", "u8") for kind in kinds)


def test_onnxruntime_computes_every_convolution_in_int8(digits: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    prepared(digits, tmp_path, Precision.INT8, "onnxruntime", data=SampleSource(path=calibration(tmp_path)))
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(str(tmp_path / "out" / ENTRY), options, providers=["CPUExecutionProvider"])
    ops = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert ops.count("QLinearConv") == 4
    assert "Conv" not in ops
    assert "FusedConv" not in ops
