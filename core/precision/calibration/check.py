"""What is wrong with calibration data, found before a model runs on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from core.base.errors import InvalidRequest
from core.parity.inputs import Range
from core.precision.calibration.samples import CalibrationData
from core.precision.record import InputSummary
from core.precision.view import GraphView

# Behind the model's own scaling, networks are trained on values of about 1. Far from that, the scale is most likely wrong.
USUAL_LARGEST = 20.0
USUAL_SMALLEST = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCheck:
    """What was found; nothing of random values."""

    inputs: tuple[InputSummary, ...] = ()
    warnings: tuple[str, ...] = ()


def check_data(data: CalibrationData, model: onnx.ModelProto, expected: Mapping[str, Range] | None = None) -> DataCheck:
    """Reads all samples once.

    Args:
        data: The samples.
        model: Whose inputs they are for.
        expected: Least and largest value that the model was trained on, by input.

    Raises:
        InvalidRequest: Values are not finite, no input ever changes, or values lie outside what is expected.
    """
    view = GraphView(model)
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    total: dict[str, float] = {}
    count = 0
    for index, sample in enumerate(data.read()):
        count += 1
        for name, array in sample.items():
            if array.dtype.kind not in "iuf":
                continue
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise InvalidRequest(
                    f"Calibration sample {index} has NaN or infinite values in {name}.", hint="Take it out, or repair it."
                )
            low[name] = min(low.get(name, np.inf), float(array.min()))
            high[name] = max(high.get(name, -np.inf), float(array.max()))
            total[name] = total.get(name, 0.0) + float(array.mean(dtype=np.float64))
    summaries = tuple(_summary(name, low[name], high[name], total[name] / count, view) for name in sorted(low))
    fixed = [one for one in summaries if one.low == one.high and view.is_float(one.name)]
    if fixed and not any(one.low < one.high for one in summaries):
        one = fixed[0]
        raise InvalidRequest(f"{one.name} is {one.low:g} everywhere in the calibration data.", hint="Give real samples.")
    told = [_fixed_note(one) for one in fixed]
    told += [_judge(one, (expected or {}).get(one.name)) for one in summaries if view.is_float(one.name)]
    return DataCheck(inputs=summaries, warnings=tuple(filter(None, told)))


def _fixed_note(one: InputSummary) -> str:
    """A factor or a mask that is always the same beside inputs that change: no fault, but the ranges hold for it alone."""
    return f"{one.name} is {one.low:g} in all of the calibration data: the ranges hold for that value alone."


def _summary(name: str, low: float, high: float, mean: float, view: GraphView) -> InputSummary:
    factor, offset = leading_scale(name, view) if view.is_float(name) else (1.0, 0.0)
    first_low, first_high = sorted((low * factor + offset, high * factor + offset))
    return InputSummary(name=name, low=low, high=high, mean=mean, first_low=first_low, first_high=first_high)


def _judge(one: InputSummary, expected: Range | None) -> str:
    span = f"{one.name} lies in {one.low:.4g} to {one.high:.4g}"
    if expected is not None:
        width = expected[1] - expected[0]
        slack = 0.5 * width
        outside = one.low < expected[0] - slack or one.high > expected[1] + slack
        if outside or 0 < one.high - one.low < 0.05 * width:
            raise InvalidRequest(
                f"{span}, where the model expects {expected[0]:g} to {expected[1]:g}: the scale is wrong.",
                hint="Prepare the calibration data exactly as the model's inputs are in production.",
            )
        return ""
    if one.low == one.high:
        return ""
    largest = max(abs(one.first_low), abs(one.first_high))
    own = (
        ""
        if (one.first_low, one.first_high) == (one.low, one.high)
        else f" ({one.first_low:.4g} to {one.first_high:.4g} behind its scaling)"
    )
    advice = "If production scales its inputs otherwise, the quantized model will be useless."
    # What the model itself makes large, as a mask times 1e12, it means to.
    if largest > USUAL_LARGEST and max(abs(one.low), abs(one.high)) > USUAL_LARGEST:
        looks = "unscaled pixels" if one.low >= 0 and 50 < one.high <= 255 else "unscaled values"
        return f"{span}{own}, which looks like {looks}. {advice}"
    if largest < USUAL_SMALLEST:
        return f"{span}{own}, which looks like values scaled twice. {advice}"
    return ""


def leading_scale(name: str, view: GraphView) -> tuple[float, float]:
    """Factor and offset of what the model itself does to an input first: single numbers multiplied, added, subtracted, divided.

    Constants of several numbers (a mean for each channel) count with their mean.
    """
    factor, offset = 1.0, 0.0
    while (node := view.only_consumer(name)) is not None and node.output:
        if node.op_type in ("Cast", "Identity", "Transpose", "Reshape", "Pad"):
            name = node.output[0]
            continue
        if node.op_type not in ("Add", "Div", "Mul", "Sub") or not any(i in view.constants for i in node.input):
            break
        position = 1 if node.input[1] in view.constants else 0
        array = view.array(node.input[position])
        if array.size > 4:
            break
        value = float(array.mean())
        if node.op_type == "Mul":
            factor, offset = factor * value, offset * value
        elif node.op_type == "Add":
            offset += value
        elif node.op_type == "Sub":
            factor, offset = (factor, offset - value) if position == 1 else (-factor, value - offset)
        elif position == 1 and value != 0:
            factor, offset = factor / value, offset / value
        else:
            break
        name = node.output[0]
    return factor, offset
