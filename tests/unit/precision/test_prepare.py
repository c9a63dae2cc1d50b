"""The one function that a build calls, at every precision and target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import checker

from core.base.errors import InvalidRequest, Unavailable
from core.base.precision import Precision
from core.base.serialization import from_data, read_json, write_json
from core.onnxio.file import read_onnx, save_onnx
from core.onnxio.walk import opset
from core.precision.calibration.samples import SampleSource
from core.precision.prepare import RANGES_FILE, prepare
from core.precision.record import ENTRY, PrecisionRecord
from core.precision.runner import Runner
from core.precision.settings import PrecisionEngine, PrecisionSettings, parse_settings
from core.precision.target import parse_target

SAMPLES = np.random.default_rng(1).normal(size=(12, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def source(residual: onnx.ModelProto, tmp_path: Path) -> Path:
    save_onnx(residual, tmp_path / "source.onnx")
    return tmp_path / "source.onnx"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    np.savez(tmp_path / "samples.npz", image=SAMPLES)
    return tmp_path / "samples.npz"


def run(path: Path, *, exact: bool = False) -> np.ndarray:
    return Runner(read_onnx(path), ["logits"], exact=exact).run({"image": SAMPLES})[0]


def prepared(source: Path, precision: Precision, target: str, **how: object) -> tuple[PrecisionRecord, Path]:
    folder = source.parent / f"{precision.value}-{target}-{len(list(source.parent.iterdir()))}"
    folder.mkdir()
    result = prepare(source, folder, precision, target=parse_target(target), **how)  # type: ignore[arg-type]
    checker.check_model(read_onnx(folder / ENTRY), full_check=True)
    return result, folder / result.entry


def marks(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in read_onnx(path).metadata_props}


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.TF32])
def test_fp32_and_tf32_pass_through(source: Path, precision: Precision) -> None:
    result, made = prepared(source, precision, "tensorrt-8.6")
    np.testing.assert_array_equal(run(made), run(source))
    assert (result.converted, result.kept, result.stamp) == ((), {}, "")


@pytest.mark.parametrize(
    ("precision", "target", "version", "tolerance"),
    [
        (Precision.FP16, "tensorrt-8.6", 17, 0.005),
        (Precision.FP16, "openvino", 17, 0.005),
        (Precision.INT8, "tensorrt-8.5", 17, 0.05),
        (Precision.INT8, "tensorrt-10.1", 19, 0.05),
        (Precision.INT8, "onnxruntime", 17, 0.05),
        (Precision.FP8, "tensorrt-11.0", 19, 0.2),
        (Precision.FP8, "onnxruntime", 19, 0.2),
    ],
)
def test_every_precision_computes_the_same_function(
    source: Path, samples: Path, precision: Precision, target: str, version: int, tolerance: float
) -> None:
    result, made = prepared(source, precision, target, data=SampleSource(path=samples))
    truth = run(source)
    error = np.abs(run(made, exact=precision is Precision.FP8) - truth).max() / np.abs(truth).max()
    assert 0 < error < tolerance
    assert result.opset == opset(read_onnx(made)) == version
    assert result.violations == ()
    assert result.converted
    before = {node.name for node in read_onnx(source).graph.node}
    assert {name for name in result.converted if name not in before} == set()


def test_bf16_reaches_opset_22(source: Path) -> None:
    result, made = prepared(source, Precision.BF16, "tensorrt-11.0")
    assert result.opset == 22
    assert read_onnx(made).ir_version == 10
    assert not result.kept
    result, _ = prepared(source, Precision.BF16, "tensorrt-10.1")
    assert result.kept["Conv_c1"].startswith("Conv takes no such type at opset")


def test_real_data_are_named_in_the_graph_and_random_ones_get_the_stamp(source: Path, samples: Path) -> None:
    result, made = prepared(source, Precision.INT8, "onnxruntime", data=SampleSource(path=samples))
    assert result.stamp == ""
    assert marks(made)["engineroom.calibration"] == "12 of 12 samples of samples.npz"
    assert result.inputs[0].name == "image"
    result, made = prepared(source, Precision.INT8, "onnxruntime")
    assert result.stamp == "uncalibrated, do not deploy"
    assert marks(made)["engineroom.calibration"] == "uncalibrated, do not deploy"


def test_ranges_are_left_and_used_again(source: Path, samples: Path) -> None:
    first, made = prepared(source, Precision.INT8, "onnxruntime", data=SampleSource(path=samples))
    known = SampleSource(ranges=made.parent / RANGES_FILE)
    second, again = prepared(source, Precision.INT8, "onnxruntime", data=known)
    assert second.stamp == ""
    assert second.data == first.data
    np.testing.assert_array_equal(run(made), run(again))


def test_a_percentile_clips(source: Path, samples: Path) -> None:
    spiky = SAMPLES.copy()
    spiky[0, 0, 0, 0] = 1000
    np.savez(samples, image=spiky)
    settings = PrecisionSettings(percentile=99.9)
    _, largest = prepared(source, Precision.INT8, "onnxruntime", data=SampleSource(path=samples))
    _, clipped = prepared(source, Precision.INT8, "onnxruntime", data=SampleSource(path=samples), settings=settings)
    truth = run(source)
    assert np.abs(run(clipped) - truth).max() < np.abs(run(largest) - truth).max() / 3


def test_data_of_the_wrong_scale_stop_it(source: Path, samples: Path) -> None:
    np.savez(samples, image=SAMPLES * 255)
    data = SampleSource(path=samples, expected={"image": (-4.0, 4.0)})
    with pytest.raises(InvalidRequest, match="the scale is wrong"):
        prepared(source, Precision.INT8, "onnxruntime", data=data)
    result, _ = prepared(source, Precision.INT8, "onnxruntime", data=SampleSource(path=samples))
    assert any("useless" in note for note in result.notes)


def test_kept_nodes_stay(source: Path) -> None:
    settings = PrecisionSettings(keep_nodes=("Conv_c*",), keep_ops=("Gemm",))
    result, _ = prepared(source, Precision.INT8, "onnxruntime", settings=settings)
    assert result.converted == ("Conv_s0",)
    assert result.kept["Gemm_logits"] == "Gemm is kept by type"


def test_results_are_data(source: Path, tmp_path: Path) -> None:
    result, _ = prepared(source, Precision.INT8, "tensorrt-8.6")
    write_json(tmp_path / "result.json", result)
    assert read_json(PrecisionRecord, tmp_path / "result.json") == result
    assert result.requested["Conv_c0"] == "int8"
    assert result.builder_flags == ("INT8", "FP16")


def test_what_older_releases_recorded_is_read() -> None:
    told = {"target": "onnxruntime", "engine": "light", "requested": {"c": "int8"}, "kept": {"d": "kept by name"}}
    told |= {"violations": [], "stamp": "", "data": "12 of 12 samples", "cost": None, "remedy": None}
    found = from_data(PrecisionRecord, told)
    assert (found.requested, found.kept, found.opset, found.seconds) == (told["requested"], told["kept"], None, None)


def test_what_cannot_be_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="FP8 came with TensorRT"):
        prepared(source, Precision.FP8, "tensorrt-8.6")
    with pytest.raises(InvalidRequest, match="engine cannot be 'magic'"):
        parse_settings(["engine=magic"])
    modelopt = PrecisionSettings(engine=PrecisionEngine.MODELOPT)
    monkeypatch.delenv("ENGINEROOM_MODELOPT_PYTHON", raising=False)
    with pytest.raises(Unavailable, match="No ModelOpt environment is named"):
        prepared(source, Precision.FP16, "openvino", settings=modelopt)
    monkeypatch.setenv("ENGINEROOM_MODELOPT_PYTHON", "/usr/bin/env")
    with pytest.raises(Unavailable, match="has no ModelOpt"):
        prepared(source, Precision.FP16, "openvino", settings=modelopt)
