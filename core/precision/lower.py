"""One graph in, the same graph in a precision out: what `prepare` and the search for a remedy share."""

from __future__ import annotations

from dataclasses import replace

import onnx

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.progress import Report
from core.precision import float_plan, quantize_plan
from core.precision.calibration.collect import collect_ranges, float_tensors
from core.precision.calibration.ranges import Ranges
from core.precision.calibration.samples import CalibrationData
from core.precision.element_types import ELEMENT_TYPE
from core.precision.float_rewrite import convert
from core.precision.lost_scales import hold_scales
from core.precision.nothing import unchanged_note
from core.precision.opset import fit_opset
from core.precision.placement_check import check_placement
from core.precision.quantize_rewrite import quantize
from core.precision.record import PrecisionRecord, Rule, Violation
from core.precision.requested import mark_fp32
from core.precision.scales_behind import move_scales_behind
from core.precision.settings import DEFAULTS, Placement, PrecisionEngine, PrecisionSettings
from core.precision.strides import spell_out_strides
from core.precision.target import QuantizedOutputs, Target


def tensors_to_calibrate(model: onnx.ModelProto, precision: Precision, target: Target) -> list[str]:
    """Tensors whose ranges `lower` asks for."""
    if not precision.facts.leaves_range:
        return []
    # TensorRT computes in FP16 between quantized nodes, by types or by its flag.
    if not precision.quantizes or target.for_tensorrt:
        return float_tensors(model)
    return list(quantize_plan.plan(model, outputs=_outputs(precision, target)).activations)


def calibrate(
    model: onnx.ModelProto,
    precision: Precision,
    target: Target,
    data: CalibrationData,
    report: Report,
    settings: PrecisionSettings = DEFAULTS,
) -> Ranges:
    """Ranges of `tensors_to_calibrate`, with the percentile that the settings name."""
    percentiles = () if settings.percentile is None else (settings.percentile,)
    return collect_ranges(model, tensors_to_calibrate(model, precision, target), data, report, percentiles=percentiles)


def lower(
    model: onnx.ModelProto,
    precision: Precision,
    target: Target,
    settings: PrecisionSettings = DEFAULTS,
    *,
    ranges: Ranges | None = None,
) -> tuple[onnx.ModelProto, PrecisionRecord]:
    """Puts the precision in, and tells what was done; the model may be changed.

    Args:
        model: From `core.precision.load` with the same precision.
        precision: FP16, BF16, INT8 or FP8.
        target: What the graph is for.
        settings: What stays in FP32, how far quantized values reach, and where Q and DQ go.
        ranges: Of the tensors; INT8 and FP8 need them, FP16 uses them to find overflow.

    Raises:
        InvalidRequest: The ranges do not cover the model, or the target reads no opset that does.
        ConversionFailed: The graph cannot be brought to the opset needed.
    """
    model = fit_opset(model, precision, target)
    record = PrecisionRecord(target=target.name, engine=PrecisionEngine.LIGHT.value, precision=precision)
    if precision in ELEMENT_TYPE:
        decided = float_plan.plan(model, ELEMENT_TYPE[precision], settings, ranges=ranges.bounds if ranges else None)
        notes = () if decided.low or decided.kept else (unchanged_note(model, precision),)
        convert(model, decided, keep_io_types=settings.keep_io_types)
        return model, replace(record, converted=tuple(decided.low), kept=dict(decided.kept), notes=notes)
    if ranges is None:
        raise InvalidRequest(f"{precision.value.upper()} needs calibrated ranges.", hint="Calibrate first.")
    outputs = _outputs(precision, target)
    both_sides = outputs is QuantizedOutputs.ALL
    chosen = quantize_plan.plan(model, settings, precision=precision, outputs=outputs)
    moved: frozenset[str] = frozenset()
    if Placement.SCALES_BEHIND in settings.placement:
        chosen, moved = move_scales_behind(model, chosen, ranges, precision, settings.percentile)
    stored = target.stores_weights
    if target.weakly_typed:
        held = float_plan.nodes_for_fp32(model, settings, ranges=ranges.bounds)
        mark_fp32(model, (name for name in held if name not in chosen.weights))
    quantize(model, chosen, ranges, precision, percentile=settings.percentile, stored=stored, unsigned=both_sides)
    violations = _those_meant(check_placement(model, stored_weights=stored, tensorrt=not both_sides), moved)
    suit_runtime(model, precision, target)
    if target.rest in ELEMENT_TYPE:
        around = float_plan.plan(model, ELEMENT_TYPE[target.rest], settings, ranges=ranges.bounds)
        convert(model, around, keep_io_types=settings.keep_io_types)
    return model, replace(record, converted=tuple(chosen.weights), kept=dict(chosen.kept), violations=violations)


def _those_meant(violations: tuple[Violation, ...], moved: frozenset[str]) -> tuple[Violation, ...]:
    """Without those that moving scales behind convolutions is bound to bring: one scale for all, nothing to fuse an Add with."""

    def is_bound(one: Violation) -> bool:
        return one.rule is Rule.SHORTCUT or (one.rule is Rule.CHANNEL_AXIS and one.node in moved)

    return tuple(one for one in violations if not moved or not is_bound(one))


def suit_runtime(model: onnx.ModelProto, precision: Precision, target: Target) -> None:
    """What one runtime wants of any quantized graph besides, in place."""
    if precision is Precision.INT8 and target.strides_spelled_out:
        spell_out_strides(model)
    if precision is Precision.INT8 and target.loses_scales:
        hold_scales(model)


def _outputs(precision: Precision, target: Target) -> QuantizedOutputs:
    return target.quantized_outputs if precision is Precision.INT8 else QuantizedOutputs.NONE
