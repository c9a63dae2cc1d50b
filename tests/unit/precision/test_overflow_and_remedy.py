"""The model that real FP16 turns to zeros: the CPU hides it, emulation shows it, ranges and the search mend it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.progress import silent
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.precision.calibration.collect import collect_ranges, float_tensors
from core.precision.calibration.labelled import open_labelled
from core.precision.calibration.samples import CalibrationData, SampleSource, open_data
from core.precision.float_plan import plan
from core.precision.float_rewrite import convert
from core.precision.overflow import emulate
from core.precision.prepare import prepare
from core.precision.record import ENTRY
from core.precision.remedy import find_remedy
from core.precision.runner import Runner
from core.precision.sensitivity import layer_errors, make_trial
from core.precision.settings import PrecisionSettings
from core.precision.target import parse_target


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())


@pytest.fixture
def data(overflowing: onnx.ModelProto) -> CalibrationData:
    return open_data(SampleSource(random_samples=4, expected={"x": (-1.0, 1.0)}), graph_signature(overflowing))


def outputs(model: onnx.ModelProto, data: CalibrationData, *, exact: bool) -> np.ndarray:
    runner = Runner(model, ["y"], exact=exact)
    return np.concatenate([runner.run(sample)[0] for sample in data.read()])


def test_onnxruntime_hides_what_emulation_shows(overflowing: onnx.ModelProto, data: CalibrationData) -> None:
    truth = outputs(overflowing, data, exact=True)
    decided = plan(overflowing, TensorProto.FLOAT16)
    real_types = outputs(convert(copy(overflowing), decided), data, exact=False)
    emulated = outputs(emulate(copy(overflowing), decided), data, exact=True)
    assert np.abs(real_types - truth).max() < 0.01 * np.abs(truth).max()
    assert np.abs(truth).max() > 0.5
    assert not emulated.any()


def test_rounding_is_to_the_type_itself(make_network: Callable[..., onnx.ModelProto]) -> None:
    model = make_network("y = Neg (x)", inputs="float[batch,3] x", outputs="float[batch,3] y")
    emulated = emulate(copy(model), plan(model, TensorProto.FLOAT16))
    x = np.array([[0.1, 70000.0, 1e-9]], np.float32)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(
            Runner(emulated, ["y"], exact=True).run({"x": x})[0], -x.astype(np.float16).astype(np.float32)
        )


def test_the_first_bad_layer_is_named(overflowing: onnx.ModelProto, data: CalibrationData) -> None:
    found = layer_errors(overflowing, make_trial(copy(overflowing), Precision.FP16), data)
    assert found.first_bad is not None
    assert found.first_bad.node == "ReduceSum_total"
    assert np.isinf(found.first_bad.error)
    assert found.worst[0].node == "ReduceSum_total"
    assert not found.parity.passed


def test_bf16_has_the_range(overflowing: onnx.ModelProto, data: CalibrationData) -> None:
    found = layer_errors(overflowing, make_trial(copy(overflowing), Precision.BF16), data)
    assert found.first_bad is None
    assert found.parity.passed


def test_the_search_keeps_what_overflows_and_little_else(overflowing: onnx.ModelProto, data: CalibrationData) -> None:
    remedy = find_remedy(overflowing, Precision.FP16, PrecisionSettings(max_rel=0.01), data)
    assert remedy.met
    assert {"ReduceSum_total", "Sqrt_norm"} <= set(remedy.keep)
    assert len(remedy.keep) <= 4
    assert (remedy.rounds[0].met, remedy.rounds[-1].met) == (False, True)
    assert "on the target alone" in remedy.cost


def test_prepare_mends_it_unasked(overflowing: onnx.ModelProto, data: CalibrationData, tmp_path: Path) -> None:
    save_onnx(overflowing, tmp_path / "source.onnx")
    folder = tmp_path / "out"
    folder.mkdir()
    source, samples = tmp_path / "source.onnx", SampleSource(expected={"x": (-1.0, 1.0)})
    result = prepare(source, folder, Precision.FP16, target=parse_target("tensorrt-8.6"), data=samples)
    assert result.kept.keys() == {"ReduceSum_total", "Sqrt_norm"}
    ranges = collect_ranges(overflowing, float_tensors(overflowing), data, silent)
    trial = make_trial(copy(overflowing), Precision.FP16, ranges=ranges)
    assert layer_errors(overflowing, trial, data).parity.passed
    assert read_onnx(folder / ENTRY).graph.output[0].name == "y"


def test_int8_keeps_the_layer_with_the_outlier(residual: onnx.ModelProto, tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(6, 3, 8, 8)).astype(np.float32)
    image[0, 0, 0, 0] = 300.0  # so that one step of 127 is more than all other values
    np.savez(tmp_path / "data.npz", image=image)
    data = open_data(SampleSource(path=tmp_path / "data.npz"), graph_signature(residual))
    ranges = collect_ranges(residual, float_tensors(residual), data, silent)
    quiet = open_data(SampleSource(random_samples=4), graph_signature(residual))
    start = layer_errors(residual, make_trial(copy(residual), Precision.INT8, ranges=ranges), quiet)
    assert start.worst[0].node == "Conv_c0"
    error = max(output.max_rel or 0 for output in start.parity.outputs)
    remedy = find_remedy(residual, Precision.INT8, PrecisionSettings(max_rel=0.7 * error), quiet, ranges=ranges)
    assert remedy.met
    assert remedy.keep[0] == "Conv_c0"
    assert len(remedy.keep) < 6
    runtime = parse_target("onnxruntime")
    timed = find_remedy(residual, Precision.INT8, PrecisionSettings(max_rel=100.0), quiet, ranges=ranges, target=runtime)
    assert timed.rounds[0].latency_ms is not None
    assert "ms with 0 layers kept" in timed.cost


def test_a_goal_in_accuracy_needs_labels(residual: onnx.ModelProto, tmp_path: Path) -> None:
    data = open_data(SampleSource(random_samples=2), graph_signature(residual))
    with pytest.raises(InvalidRequest, match="needs labelled data"):
        find_remedy(residual, Precision.BF16, PrecisionSettings(top1_drop=0.01), data)
    with pytest.raises(InvalidRequest, match="needs a goal"):
        find_remedy(residual, Precision.BF16, PrecisionSettings(), data)
    image = np.random.default_rng(0).normal(size=(12, 3, 8, 8)).astype(np.float32)
    labels = Runner(residual, ["logits"]).run({"image": image})[0].argmax(axis=1)
    np.savez(tmp_path / "data.npz", image=image, labels=labels)
    labelled = open_labelled(tmp_path / "data.npz", graph_signature(residual))
    remedy = find_remedy(residual, Precision.BF16, PrecisionSettings(top1_drop=0.1), data, labelled=labelled)
    assert remedy.met
    assert remedy.reference_accuracy is not None
    assert remedy.reference_accuracy.top1 == 1.0
    assert remedy.accuracy is not None
    assert remedy.rounds[0].top1 is not None
