"""Calibration: what values every tensor takes on the samples, in one pass for the bounds and a second for percentiles.

A sample runs through the model at a time, and only the bounds or a histogram of each tensor is kept, so memory does not grow
with the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from core.base.errors import InvalidRequest
from core.base.progress import Progress, Report
from core.precision.calibration.ranges import Ranges, TensorRange, structure_digest
from core.precision.calibration.samples import CalibrationData
from core.precision.runner import Runner
from core.precision.view import GraphView

_BINS = 4096


def float_tensors(model: onnx.ModelProto) -> list[str]:
    """Every FP32 tensor that is no constant."""
    view = GraphView(model)
    made = [name for node in model.graph.node for name in node.output if name]
    return [name for name in [*view.inputs, *made] if view.is_float(name)]


def collect_ranges(
    model: onnx.ModelProto, tensors: Iterable[str], data: CalibrationData, report: Report, *, percentiles: Sequence[float] = ()
) -> Ranges:
    """Runs the samples through the model on ONNX Runtime.

    Args:
        model: FP32.
        tensors: Which ones to look at.
        data: The samples, already checked.
        report: Told of every sample.
        percentiles: Of the magnitudes to take too, which makes a second pass for histograms.

    Raises:
        ConversionFailed: ONNX Runtime cannot run the model.
        InvalidRequest: The model gives NaN on a sample.
    """
    names = list(dict.fromkeys(tensors))
    bounds = _bounds(model, names, data, report)
    found = _histograms(model, bounds, data, report, percentiles) if percentiles else {}
    ranges = {n: TensorRange(low=low, high=high, magnitudes=found.get(n, {})) for n, (low, high) in bounds.items()}
    return Ranges(
        model=structure_digest(model), data=data.description, samples=data.count, calibrated=data.calibrated, tensors=ranges
    )


def _bounds(
    model: onnx.ModelProto, names: Sequence[str], data: CalibrationData, report: Report
) -> dict[str, tuple[float, float]]:
    made, results = [], []
    for index, name in enumerate(names):
        for op in ("ReduceMin", "ReduceMax"):
            results.append(f"__{op}_{index}")
            made.append(helper.make_node(op, [name], [results[-1]], name=results[-1], keepdims=0))
    runner = Runner(model, results, extra=made)
    lows, highs = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for index, sample in enumerate(data.read()):
        values = np.array([float(array) for array in runner.run(sample)])
        if np.isnan(values).any():
            bad = names[int(np.flatnonzero(np.isnan(values))[0]) // 2]
            raise InvalidRequest(f"Calibration sample {index} makes {bad} NaN in FP32.", hint="Check the sample and the model.")
        lows, highs = np.minimum(lows, values[::2]), np.maximum(highs, values[1::2])
        report(Progress(message=f"Calibrating on {data.count} samples", fraction=(index + 1) / data.count))
    return {name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)}


def _histograms(
    model: onnx.ModelProto,
    bounds: dict[str, tuple[float, float]],
    data: CalibrationData,
    report: Report,
    percentiles: Sequence[float],
) -> dict[str, dict[str, float]]:
    largest = {name: max(abs(low), abs(high)) for name, (low, high) in bounds.items()}
    names = [name for name, value in largest.items() if value > 0 and np.isfinite(value)]
    runner = Runner(model, names)
    counts = {name: np.zeros(_BINS + 1, np.int64) for name in names}
    for index, sample in enumerate(data.read()):
        for name, array in zip(names, runner.run(sample), strict=True):
            bins = (np.abs(array.ravel()) * np.float32(_BINS / largest[name])).astype(np.int32)
            counts[name] += np.bincount(np.minimum(bins, _BINS), minlength=_BINS + 1)
        report(Progress(message=f"Taking histograms of {data.count} samples", fraction=(index + 1) / data.count))
    return {name: {f"{p:g}": _percentile(counts[name], p, largest[name]) for p in percentiles} for name in names}


def _percentile(counts: NDArray[np.int64], percentile: float, largest: float) -> float:
    """The upper edge of the bin in which the percentile lies."""
    reached = np.cumsum(counts) >= percentile / 100 * counts.sum()
    return min(largest, (int(np.argmax(reached)) + 1) * largest / _BINS)
