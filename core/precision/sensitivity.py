"""Where a precision loses accuracy: the error of every layer, the first bad one and the worst ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from core.base.precision import Precision
from core.base.progress import Progress, Report, silent
from core.parity.compare import compare
from core.parity.result import Parity
from core.precision.calibration.ranges import Ranges
from core.precision.calibration.samples import CalibrationData, Sample
from core.precision.element_types import ELEMENT_TYPE
from core.precision.float_plan import plan
from core.precision.lower import lower
from core.precision.opset import fit_opset, with_casts
from core.precision.overflow import emulate
from core.precision.record import LayerError
from core.precision.runner import Runner
from core.precision.settings import DEFAULTS, PrecisionSettings
from core.precision.target import NEWEST_TENSORRT, TENSORRT, Target
from core.precision.view import GraphView

# A layer is bad when its output is off by this much, relative, in the L2 norm.
BAD = 0.1
WORST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What a precision does to each layer.

    Attributes:
        layers: In the graph's order.
        first_bad: The first whose output is bad, None when none is.
        worst: The ten that add the most error, worst first.
        parity: Of the model's outputs.
        emulated: Whether every narrow tensor was rounded because the runtime would hide the loss.
    """

    layers: tuple[LayerError, ...]
    first_bad: LayerError | None
    worst: tuple[LayerError, ...]
    parity: Parity
    emulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A model in a precision as a CPU can run it faithfully.

    Attributes:
        model: Tensors have the FP32 model's names.
        converted: Nodes that compute in the precision.
        exact: The runtime must run each node as it stands.
    """

    model: onnx.ModelProto
    converted: tuple[str, ...]
    exact: bool = True


# What trials are lowered for when nobody says.
TRIAL_TARGET = Target(runtime=TENSORRT, version=NEWEST_TENSORRT, emulated=True)


def make_trial(
    model: onnx.ModelProto,
    precision: Precision,
    settings: PrecisionSettings = DEFAULTS,
    *,
    ranges: Ranges | None = None,
    target: Target = TRIAL_TARGET,
) -> Trial:
    """Emulates FP16 and BF16 by rounding; INT8 and FP8 run as Q/DQ, which computes what it says.

    Args:
        model: The FP32 model, which may be changed.
        precision: Which one to try.
        settings: As `lower` takes them.
        ranges: As `lower` takes them.
        target: Whose placement of Q/DQ to try, emulated, so that only the precision in question is seen.
    """
    if precision in ELEMENT_TYPE:
        bounds = ranges.bounds if ranges else None
        # BF16's types are in the schemas of opset 22, which planning needs and emulating does not.
        widest = fit_opset(model, precision, TRIAL_TARGET) if precision is Precision.BF16 else model
        decided = plan(widest, ELEMENT_TYPE[precision], settings, ranges=bounds)
        return Trial(model=emulate(with_casts(model, precision, TRIAL_TARGET), decided), converted=tuple(decided.low))
    lowered, record = lower(model, precision, target, settings, ranges=ranges)
    return Trial(model=lowered, converted=record.converted)


def layer_errors(reference: onnx.ModelProto, trial: Trial, data: CalibrationData, report: Report = silent) -> Sensitivity:
    """Runs both models on the samples, one at a time, and compares every tensor they share.

    Args:
        reference: The FP32 model.
        trial: The model in the precision.
        data: Samples; a few are enough.
        report: Told of every sample.
    """
    view = GraphView(reference)
    there = {name for node in trial.model.graph.node for name in node.output}
    tensors = [name for node in reference.graph.node for name in node.output if name in there and view.is_float(name)]
    outputs = [value.name for value in reference.graph.output]
    wanted = list(dict.fromkeys([*tensors, *outputs]))
    true, tried = Runner(reference, wanted), Runner(trial.model, wanted, exact=trial.exact)
    totals = np.zeros((len(tensors), 2))
    references: list[Sample] = []
    candidates: list[Sample] = []
    for index, sample in enumerate(data.read()):
        expected = dict(zip(wanted, true.run(sample), strict=True))
        got = dict(zip(wanted, tried.run(sample), strict=True))
        with np.errstate(all="ignore"):
            for i, name in enumerate(tensors):
                totals[i] += _squares(expected[name], got[name])
        references.append({name: expected[name] for name in outputs})
        candidates.append({name: got[name] for name in outputs})
        report(Progress(message=f"Comparing layers on {data.count} samples", fraction=(index + 1) / data.count))
    errors = {name: _relative(*total) for name, total in zip(tensors, totals, strict=True)}
    layers = tuple(_layer(name, errors, view) for name in tensors)
    worst = sorted((layer for layer in layers if layer.added > 0), key=lambda layer: -layer.added)
    return Sensitivity(
        layers=layers,
        first_bad=next((layer for layer in layers if layer.error > BAD), None),
        worst=tuple(worst[:WORST]),
        parity=compare(references, candidates, BAD, inputs=data.description, reference_title="FP32 on ONNX Runtime"),
        emulated=trial.exact,
    )


def _squares(expected: np.ndarray, got: np.ndarray) -> tuple[float, float]:
    """Squares of the difference and of the reference, summed; where FP32 itself is not finite does not count."""
    true = expected.astype(np.float64)
    finite = np.isfinite(true)
    difference = np.where(finite, got.astype(np.float64) - np.where(finite, true, 0), 0)
    return float((difference**2).sum()), float(np.where(finite, true, 0).ravel() @ np.where(finite, true, 0).ravel())


def _relative(difference: float, reference: float) -> float:
    if not np.isfinite(difference):
        return float("inf")
    if reference == 0:
        return 0.0 if difference == 0 else float("inf")
    return float(np.sqrt(difference / reference))


def _layer(tensor: str, errors: dict[str, float], view: GraphView) -> LayerError:
    node = view.producer[tensor]
    before = max((errors.get(name, 0.0) for name in node.input), default=0.0)
    error = errors[tensor]
    added = 0.0 if np.isinf(before) else float(np.sqrt(max(error**2 - before**2, 0.0)))
    return LayerError(node=node.name, op=node.op_type, tensor=tensor, error=error, added=added)
