"""One graph in, the same graph in a precision out: what `prepare` and the search for a remedy share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.progress import Report
from core.onnxio.file import read_onnx
from core.onnxio.simplify import ENTRY, simplify
from core.precision import float16, quantize
from core.precision.calibration import collect_ranges, float_tensors
from core.precision.calibration_data import CalibrationData
from core.precision.float16 import ELEMENT_TYPE, Keep
from core.precision.opset import fit_opset
from core.precision.placement_check import Violation, check_placement
from core.precision.ranges import Ranges
from core.precision.requested import mark_fp32
from core.precision.strides import spell_out_strides
from core.precision.target import QuantizedOutputs, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """A graph in its precision.

    Attributes:
        converted: Names of the nodes that compute in the precision.
        kept: Nodes that could have and did not, each with why.
    """

    model: onnx.ModelProto
    converted: tuple[str, ...]
    kept: dict[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    notes: tuple[str, ...] = ()


def load_for(source: Path, precision: Precision, report: Report) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Reads a model in the form that `lower` takes, and what there is to note about it.

    For quantizing, the graph is simplified first: what an exporter left unfolded keeps TensorRT from fusing.
    """
    if precision not in quantize.GRIDS:
        return float16.prepare_graph(read_onnx(source)), ()
    with tempfile.TemporaryDirectory(prefix="engineroom-simplify-") as folder:
        simplified = simplify(source, Path(folder), report)
        return float16.prepare_graph(read_onnx(Path(folder) / ENTRY)), simplified.notes


def load_once(source: Path, precision: Precision, report: Report) -> Callable[[], onnx.ModelProto]:
    """`load_for` for callers that need the model many times: each call gives a copy of its own."""
    model, _ = load_for(source, precision, report)

    def load() -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy

    return load


def tensors_to_calibrate(model: onnx.ModelProto, precision: Precision, target: Target) -> list[str]:
    """Tensors whose ranges `lower` asks for."""
    # TensorRT computes in FP16 between quantized nodes, by types or by its flag.
    if precision is Precision.FP16 or (precision in quantize.GRIDS and target.for_tensorrt):
        return float_tensors(model)
    if precision not in quantize.GRIDS:
        return []
    return list(quantize.plan(model, outputs=_outputs(precision, target)).activations)


def calibrate(
    model: onnx.ModelProto,
    precision: Precision,
    target: Target,
    data: CalibrationData,
    report: Report,
    *,
    percentiles: Sequence[float] = (),
) -> Ranges:
    """Ranges of `tensors_to_calibrate`."""
    return collect_ranges(model, tensors_to_calibrate(model, precision, target), data, report, percentiles=percentiles)


def lower(
    model: onnx.ModelProto,
    precision: Precision,
    target: Target,
    *,
    ranges: Ranges | None = None,
    keep: Keep | None = None,
    keep_io_types: bool = True,
    percentile: float | None = None,
) -> Lowered:
    """Puts the precision in; the model may be changed.

    Args:
        model: From `load_for` with the same precision.
        precision: FP16, BF16, INT8 or FP8.
        target: What the graph is for.
        ranges: Of the tensors; INT8 and FP8 need them, FP16 uses them to find overflow.
        keep: What stays in FP32.
        keep_io_types: Leave inputs and outputs in FP32.
        percentile: Of the activations' magnitudes that INT8 and FP8 reach to; None for the largest seen.

    Raises:
        InvalidRequest: The ranges do not cover the model, or the target reads no opset that does.
        ConversionFailed: The graph cannot be brought to the opset needed.
    """
    model = fit_opset(model, precision, target)
    if precision in ELEMENT_TYPE:
        bounds = ranges.bounds if ranges else None
        decided = float16.plan(model, ELEMENT_TYPE[precision], keep=keep, ranges=bounds)
        float16.convert(model, decided, keep_io_types=keep_io_types)
        return Lowered(model=model, converted=tuple(decided.low), kept=dict(decided.kept))
    if ranges is None:
        raise InvalidRequest(f"{precision.value.upper()} needs calibrated ranges.", hint="Calibrate first.")
    outputs = _outputs(precision, target)
    both_sides = outputs is QuantizedOutputs.ALL
    chosen = quantize.plan(model, keep=keep, precision=precision, outputs=outputs)
    stored = target.stores_weights
    if target.weakly_typed:
        held = float16.nodes_for_fp32(model, keep=keep, ranges=ranges.bounds)
        mark_fp32(model, (name for name in held if name not in chosen.weights))
    quantize.quantize(model, chosen, ranges, precision, percentile=percentile, stored=stored, unsigned=both_sides)
    violations = check_placement(model, stored_weights=stored, tensorrt=not both_sides)
    if precision is Precision.INT8 and target.strides_spelled_out:
        spell_out_strides(model)
    if target.rest in ELEMENT_TYPE:
        around = float16.plan(model, ELEMENT_TYPE[target.rest], keep=keep, ranges=ranges.bounds)
        float16.convert(model, around, keep_io_types=keep_io_types)
    return Lowered(model=model, converted=tuple(chosen.weights), kept=dict(chosen.kept), violations=violations)


def _outputs(precision: Precision, target: Target) -> QuantizedOutputs:
    return target.quantized_outputs if precision is Precision.INT8 else QuantizedOutputs.NONE
