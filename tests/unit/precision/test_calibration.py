"""Ranges: right, streamed, reusable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from core.base.errors import InvalidRequest, StoreFailed
from core.base.progress import Progress, silent
from core.base.serialization import write_json
from core.models.onnx_graph import graph_signature
from core.precision.calibration.collect import collect_ranges, float_tensors
from core.precision.calibration.ranges import load_ranges, structure_digest
from core.precision.calibration.samples import CalibrationData, SampleSource, open_data
from core.precision.runner import Runner


@pytest.fixture
def data(residual: onnx.ModelProto) -> CalibrationData:
    return open_data(SampleSource(random_samples=5, expected={"image": (-1.0, 1.0)}), graph_signature(residual))


def seen(model: onnx.ModelProto, tensor: str, data: CalibrationData) -> np.ndarray:
    runner = Runner(model, [tensor], exact=True)
    return np.concatenate([runner.run(sample)[0].ravel() for sample in data.read()])


def test_bounds_are_the_least_and_largest_value(residual: onnx.ModelProto, data: CalibrationData) -> None:
    before = residual.SerializeToString()
    told: list[Progress] = []
    ranges = collect_ranges(residual, float_tensors(residual), data, told.append)
    assert residual.SerializeToString() == before
    for tensor in ("image", "c0", "a0", "logits"):
        values = data_of_input(data) if tensor == "image" else seen(residual, tensor, data)
        assert ranges.tensors[tensor].low == pytest.approx(values.min(), rel=1e-5)
        assert ranges.tensors[tensor].high == pytest.approx(values.max(), rel=1e-5)
    assert (ranges.samples, ranges.calibrated) == (5, False)
    assert told[-1].fraction == 1.0


def data_of_input(data: CalibrationData) -> np.ndarray:
    return np.concatenate([sample["image"].ravel() for sample in data.read()])


def test_percentiles_are_those_of_the_magnitudes(residual: onnx.ModelProto, data: CalibrationData) -> None:
    ranges = collect_ranges(residual, ["a0"], data, silent, percentiles=(50.0, 99.0, 100.0))
    magnitudes = np.abs(seen(residual, "a0", data))
    found = ranges.tensors["a0"].magnitudes
    step = float(magnitudes.max()) / 4096
    for percentile in (50.0, 99.0):
        exact = float(np.percentile(magnitudes, percentile, method="inverted_cdf"))
        assert found[f"{percentile:g}"] == pytest.approx(exact, abs=2 * step)
    assert found["100"] == pytest.approx(magnitudes.max(), rel=1e-5)


def test_data_that_make_nan_name_the_tensor(make_network: object) -> None:
    model = make_network("l = Log (x) y = Exp (l)", inputs="float[batch,2] x", outputs="float[batch,2] y")  # type: ignore[operator]
    data = open_data(SampleSource(expected={"x": (-1.0, 0.0)}), graph_signature(model))
    with pytest.raises(InvalidRequest, match="makes l NaN in FP32"):
        collect_ranges(model, float_tensors(model), data, silent)


def test_ranges_are_read_again_for_the_same_model_only(
    residual: onnx.ModelProto, overflowing: onnx.ModelProto, data: CalibrationData, tmp_path: Path
) -> None:
    ranges = collect_ranges(residual, ["a0"], data, silent)
    write_json(tmp_path / "ranges.json", ranges)
    assert load_ranges(tmp_path / "ranges.json", structure_digest(residual)) == ranges
    with pytest.raises(InvalidRequest, match="another model's"):
        load_ranges(tmp_path / "ranges.json", structure_digest(overflowing))
    (tmp_path / "ranges.json").write_text("{")
    with pytest.raises(StoreFailed):
        load_ranges(tmp_path / "ranges.json", "")


def test_ranges_that_lack_a_tensor_are_refused(residual: onnx.ModelProto, data: CalibrationData) -> None:
    ranges = collect_ranges(residual, ["a0"], data, silent)
    with pytest.raises(InvalidRequest, match="hold nothing for the tensor r0"):
        ranges.magnitude("r0", None)
