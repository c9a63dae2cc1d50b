"""The automatic remedy: the layers that lose the most accuracy stay in FP32, more and more of them, until the target is met."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import onnx

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.progress import Progress, Report, silent
from core.parity.result import Accuracy, Parity
from core.precision.calibration.labelled import Labelled, labelled_accuracy
from core.precision.calibration.ranges import Ranges
from core.precision.calibration.samples import CalibrationData, Sample
from core.precision.load import copy_of
from core.precision.record import LayerError, Round
from core.precision.runner import Runner
from core.precision.sensitivity import TRIAL_TARGET, Sensitivity, Trial, layer_errors, make_trial
from core.precision.settings import PrecisionSettings
from core.precision.target import QuantizedOutputs, Target

MAX_ROUNDS = 12
_TIMED_RUNS = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What had to stay in FP32.

    Attributes:
        met: Whether the goal was reached.
        keep: Names of the nodes to keep, for `PrecisionSettings.keep_nodes`.
        rounds: Every trial in order; the first one keeps nothing.
        before: The layers' errors with nothing kept.
        accuracy: On the labelled data with nothing kept; FP32's beside it. None without labels.
        cost: A sentence on what keeping them costs in speed.
    """

    met: bool
    keep: tuple[str, ...]
    rounds: tuple[Round, ...]
    before: Sensitivity
    cost: str
    accuracy: Accuracy | None = None
    reference_accuracy: Accuracy | None = None


def is_met(settings: PrecisionSettings, parity: Parity, accuracy: Accuracy | None, reference: Accuracy | None) -> bool:
    """Whether outputs and accuracy are as the settings want them, and nothing became infinite or NaN.

    Empty outputs tell nothing.
    """
    if any(output.non_finite for output in parity.outputs):
        return False
    if settings.max_rel is not None and parity.on_par is None:
        return False
    if settings.max_rel is not None and not all(output.closer_than(settings.max_rel) for output in parity.outputs):
        return False
    if settings.top1_drop is None or accuracy is None or reference is None:
        return True
    return reference.top1 - accuracy.top1 <= settings.top1_drop + 1e-9


def find_remedy(
    model: onnx.ModelProto,
    precision: Precision,
    settings: PrecisionSettings,
    data: CalibrationData,
    *,
    ranges: Ranges | None = None,
    labelled: Labelled | None = None,
    target: Target = TRIAL_TARGET,
    report: Report = silent,
) -> Remedy:
    """Keeps the worst layers in FP32: one, then two more, then four, each time chosen anew from what is still converted.

    Once the goal is met, it is halved back to the fewest of those that still meet it.

    Args:
        model: The FP32 model, as `core.precision.load` gives it; left as it is.
        precision: Which one to mend.
        settings: When to stop, and what `make_trial` takes of them.
        data: Samples to compare on; a few are enough.
        ranges: INT8 and FP8 need them.
        labelled: For a goal in accuracy.
        target: As `make_trial` takes it; for ONNX Runtime, INT8's cost in speed is measured too.
        report: Told of every round.

    Raises:
        InvalidRequest: There is no goal, or it is in accuracy and there are no labelled data.
    """
    if not settings.has_goal:
        raise InvalidRequest("The search for a remedy needs a goal.", hint="Name a relative error or an accuracy drop.")
    if settings.top1_drop is not None and labelled is None:
        raise InvalidRequest("An accuracy drop needs labelled data.", hint="Give an .npz with labels or folders of classes.")
    return _Search(model, precision, settings, data, ranges, labelled, target).run(report)


@dataclass
class _Search:
    reference: onnx.ModelProto
    precision: Precision
    settings: PrecisionSettings
    data: CalibrationData
    ranges: Ranges | None
    labelled: Labelled | None
    target: Target

    def __post_init__(self) -> None:
        self.reference_accuracy = labelled_accuracy(self.reference, self.labelled) if self.labelled else None
        self.sample: Sample = next(iter(self.data.read()))

    def run(self, report: Report) -> Remedy:
        chosen: list[str] = []
        rounds: list[Round] = []
        first: list[tuple[Sensitivity, Accuracy | None]] = []

        def attempt(keep: list[str]) -> tuple[Trial, Sensitivity]:
            report(Progress(message=f"Trial {len(rounds) + 1}: {len(keep)} layers kept in FP32", fraction=None))
            trial = self._trial(keep)
            errors = layer_errors(self.reference, trial, self.data)
            accuracy = labelled_accuracy(trial.model, self.labelled, exact=trial.exact) if self.labelled else None
            first.append((errors, accuracy))
            rounds.append(self._judge(trial, errors, accuracy, len(keep)))
            return trial, errors

        step = 1
        for _ in range(MAX_ROUNDS):
            trial, errors = attempt(chosen)
            worst = self._worst(errors, trial, chosen)
            if rounds[-1].met or not worst:
                break
            chosen += worst[:step]
            step *= 2
        best = rounds[-1]
        too_few = rounds[-2].kept if len(rounds) > 1 else best.kept
        while best.met and best.kept - too_few > 1:
            middle = (best.kept + too_few) // 2
            attempt(chosen[:middle])
            if rounds[-1].met:
                best = rounds[-1]
            else:
                too_few = middle
        return Remedy(
            met=best.met,
            keep=tuple(chosen[: best.kept]),
            rounds=tuple(rounds),
            before=first[0][0],
            cost=self._cost(rounds[0], best),
            accuracy=first[0][1],
            reference_accuracy=self.reference_accuracy,
        )

    def _trial(self, chosen: list[str]) -> Trial:
        settings = self.settings.keeping(chosen)
        return make_trial(copy_of(self.reference), self.precision, settings, ranges=self.ranges, target=self.target)

    def _judge(self, trial: Trial, errors: Sensitivity, accuracy: Accuracy | None, kept: int) -> Round:
        return Round(
            kept=kept,
            max_rel=max((output.max_rel for output in errors.parity.outputs if output.max_rel is not None), default=None),
            non_finite=sum(output.non_finite for output in errors.parity.outputs),
            top1=accuracy.top1 if accuracy else None,
            latency_ms=self._latency(trial.model) if self._computes_here else None,
            met=is_met(self.settings, errors.parity, accuracy, self.reference_accuracy),
        )

    def _worst(self, errors: Sensitivity, trial: Trial, chosen: list[str]) -> list[str]:
        """Converted nodes by the error they add; when all errors are inherited, by their place in the graph."""
        converted = set(trial.converted) - set(chosen)
        layers = self._overflow_makers(errors, converted) or [layer for layer in errors.layers if layer.node in converted]
        ordered = sorted(layers, key=lambda layer: -layer.added)
        return list(dict.fromkeys(layer.node for layer in ordered))

    def _overflow_makers(self, errors: Sensitivity, converted: set[str]) -> list[LayerError]:
        """The node whose output stops being finite, its readers, and what first goes wrong: one alone does not help."""
        if self.precision.quantizes:
            return []
        first = next((layer for layer in errors.layers if np.isinf(layer.error)), None)
        if first is None:
            return []
        readers = {node.name for node in self.reference.graph.node if first.tensor in node.input}
        return [layer for layer in errors.layers if layer.node in converted & (readers | {first.node})]

    @property
    def _computes_here(self) -> bool:
        return self.precision is Precision.INT8 and self.target.quantized_outputs is QuantizedOutputs.ALL

    def _latency(self, model: onnx.ModelProto) -> float:
        runner = Runner(model, [value.name for value in model.graph.output])
        times = []
        for _ in range(_TIMED_RUNS):
            start = time.perf_counter()
            runner.run(self.sample)
            times.append((time.perf_counter() - start) * 1e3)
        return float(np.median(times))

    def _cost(self, first: Round, best: Round) -> str:
        if first.latency_ms is None or best.latency_ms is None:
            if best.kept == 0:
                return "Nothing had to stay in FP32."
            return "The cost in speed shows on the target alone: ONNX Runtime on this CPU runs this graph otherwise."
        full = self._latency(self.reference)
        kept = f"{first.latency_ms:.2f} ms with nothing kept, {best.latency_ms:.2f} ms with {best.kept} layers kept"
        return f"{kept}, {full:.2f} ms in FP32, on ONNX Runtime."
