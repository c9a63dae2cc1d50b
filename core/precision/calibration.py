"""Calibration: what values every tensor takes on the samples, in one pass for the bounds and a second for percentiles.

A sample runs through the model at a time, and only the bounds or a histogram of each tensor is kept, so memory does not grow
with the data.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from core.base.errors import ConversionFailed, InvalidRequest, Unavailable
from core.base.progress import Progress, Report
from core.onnxio.file import save_onnx
from core.precision.calibration_data import CalibrationData
from core.precision.ranges import Ranges, TensorRange
from core.precision.view import GraphView

_BINS = 4096


def structure_digest(model: onnx.ModelProto) -> str:
    """SHA-256 of nodes and weights: equal models, equal digests, whatever they were saved by."""
    digest = hashlib.sha256()
    for node in model.graph.node:
        digest.update(node.SerializeToString(deterministic=True))
    for tensor in model.graph.initializer:
        digest.update(tensor.SerializeToString(deterministic=True))
    return digest.hexdigest()


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


class Runner:
    """A model on ONNX Runtime that gives the tensors asked for, in their order.

    Args:
        model: Left as it is.
        results: Tensors of the model, or outputs of `extra`.
        extra: Nodes to append.
        exact: Run every node as it stands, with no fusion. Rounding by casts survives only so.
    """

    def __init__(
        self, model: onnx.ModelProto, results: Sequence[str], *, extra: Sequence[onnx.NodeProto] = (), exact: bool = False
    ) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise Unavailable("This needs onnxruntime, which is not installed.", hint="pip install onnxruntime") from error
        self.results = list(results)
        options = ort.SessionOptions()
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_DISABLE_ALL if exact else level.ORT_ENABLE_EXTENDED
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        outputs = [helper.make_empty_tensor_value_info(name) for name in self.results]
        with tempfile.TemporaryDirectory(prefix="engineroom-run-") as folder:
            path = Path(folder) / "model.onnx"
            with _outputs_replaced(model, outputs, extra):
                save_onnx(model, path)
            try:
                self.session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise ConversionFailed(f"ONNX Runtime cannot run the model: {_first_line(error)}", detail=str(error)) from error
        self.inputs = [value.name for value in self.session.get_inputs()]

    def run(self, sample: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        try:
            found: list[NDArray[np.generic]] = self.session.run(self.results, {name: sample[name] for name in self.inputs})
        except Exception as error:
            raise InvalidRequest(f"The model does not run on this sample: {_first_line(error)}", detail=str(error)) from error
        return found


class _outputs_replaced:  # noqa: N801 - reads as the action it is
    """Other outputs, and nodes more, while the block runs; spares a copy of the weights."""

    def __init__(self, model: onnx.ModelProto, outputs: Sequence[onnx.ValueInfoProto], extra: Sequence[onnx.NodeProto]) -> None:
        self.graph = model.graph
        self.outputs = outputs
        self.extra = extra

    def __enter__(self) -> None:
        self.before = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in self.graph.output]
        self.nodes = len(self.graph.node)
        del self.graph.output[:]
        self.graph.output.extend(self.outputs)
        self.graph.node.extend(self.extra)

    def __exit__(self, *_: object) -> None:
        del self.graph.node[self.nodes :]
        del self.graph.output[:]
        self.graph.output.extend(self.before)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
