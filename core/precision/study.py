"""What a precision costs in accuracy, layer by layer, and what has to stay in FP32 for a goal: for builds that ask for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from core.base.errors import ConversionFailed
from core.base.precision import Precision
from core.base.progress import Report, silent
from core.base.tensors import Signature
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.precision.calibration import structure_digest
from core.precision.calibration_data import open_data
from core.precision.labelled import Labelled, find_labelled, labelled_accuracy, open_labelled
from core.precision.lower import calibrate, load_once
from core.precision.prepare import PrecisionOptions, PrecisionResult, prepare
from core.precision.quantize import GRIDS
from core.precision.ranges import Ranges, load_ranges
from core.precision.record import AccuracyCost, RemedyRecord
from core.precision.remedy import Goal, find_remedy, is_met
from core.precision.sensitivity import TRIAL_TARGET, Sensitivity, Trial, layer_errors, make_trial
from core.precision.settings import LIGHT
from core.precision.target import Target

COMPARED_SAMPLES = 8
KEPT_FOR_GOAL = "the accuracy asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """A model in a precision with what that costs.

    Attributes:
        result: Of the last conversion: with a goal, what the remedy keeps is kept.
    """

    result: PrecisionResult
    cost: AccuracyCost
    remedy: RemedyRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One model, precision and set of data; `run` carries it out.

    Attributes:
        source: The FP32 model.
        folder: Where `prepare` wrote, and writes again when nodes must be kept.
        result: What it told.
        calibration: As `prepare` took it; its labels are used where it has some.
        options: As `prepare` took them.
    """

    source: Path
    folder: Path
    precision: Precision
    target: Target
    result: PrecisionResult
    calibration: Path | None
    options: PrecisionOptions
    report: Report = silent

    def run(self, goal: Goal | None) -> Studied:
        """Compares every layer with FP32 on a few samples; with a goal, keeps the worst in FP32 until it is met.

        The search works on our own conversion. What ModelOpt then makes of the nodes to keep is judged again, where a CPU can.

        Raises:
            InvalidRequest: The data do not fit, or the goal needs labels.
            ConversionFailed: The goal cannot be met.
        """
        load = load_once(self.source, self.precision, silent)
        reference = load()
        signature = graph_signature(reference)
        few = open_data(self.calibration, signature, replace(self.options.data, limit=COMPARED_SAMPLES))
        labelled = self._labelled(signature, needed=goal is not None and goal.top1_drop is not None)
        target = replace(self.target, emulated=True) if self._by_us else TRIAL_TARGET
        ranges = self._ranges(reference, signature, target)
        if goal is None:
            trial = self._made() or make_trial(
                load,
                self.precision,
                ranges=ranges,
                keep=self.options.keep,
                percentile=self.options.percentile,
                target=target,
            )
            errors = layer_errors(reference, trial, few, self.report)
            accuracy = labelled_accuracy(trial.model, labelled, exact=trial.exact) if labelled else None
            true = labelled_accuracy(reference, labelled) if labelled else None
            return Studied(result=self.result, cost=replace(_cost(errors), accuracy=accuracy, reference_accuracy=true))
        found = find_remedy(
            load,
            self.precision,
            goal,
            few,
            ranges=ranges,
            labelled=labelled,
            keep=self.options.keep,
            percentile=self.options.percentile,
            target=target,
            report=self.report,
        )
        cost = replace(_cost(found.before), accuracy=found.accuracy, reference_accuracy=found.reference_accuracy)
        name = self.precision.value.upper()
        if not found.met:
            raise ConversionFailed(
                f"{name} does not reach the accuracy asked for, even with {len(found.keep)} nodes in FP32.",
                hint="Ask for less, or for another precision.",
                detail=found.cost,
            )
        result = self._again(found.keep) if found.keep else self.result
        if not result.converted:
            raise ConversionFailed(
                f"{name} has the accuracy asked for only with every node in FP32.",
                hint="Ask for less, or for another precision.",
            )
        if made := self._made():
            errors = layer_errors(reference, made, few)
            accuracy = labelled_accuracy(made.model, labelled, exact=made.exact) if labelled else None
            if not is_met(goal, errors.parity, accuracy, found.reference_accuracy):
                raise ConversionFailed(
                    f"ModelOpt's {name} graph misses the accuracy asked for; ours has it with {len(found.keep)} nodes in FP32.",
                    hint=f"Use the engine `{LIGHT}`, ask for less, or name more nodes to keep.",
                )
        remedy = RemedyRecord(keep=found.keep, rounds=found.rounds, cost=found.cost)
        return Studied(result=result, cost=cost, remedy=remedy)

    @property
    def _by_us(self) -> bool:
        return self.options.engine == LIGHT

    def _made(self) -> Trial | None:
        """What another engine made, where a CPU computes it faithfully: INT8 and FP8 are Q/DQ, which compute what they say."""
        if self._by_us or self.precision not in GRIDS:
            return None
        return Trial(model=read_onnx(self.folder / self.result.entry), converted=self.result.converted, kept=self.result.kept)

    def _again(self, keep: tuple[str, ...]) -> PrecisionResult:
        options = replace(self.options, keep_nodes=(*self.options.keep_nodes, *keep))
        made = prepare(
            self.source,
            self.folder,
            self.precision,
            target=self.target,
            calibration=self.calibration,
            options=options,
            report=self.report,
        )
        return replace(made, kept={**made.kept, **dict.fromkeys(keep, KEPT_FOR_GOAL)})

    def _ranges(self, reference: onnx.ModelProto, signature: Signature, target: Target) -> Ranges | None:
        """Those of the conversion; ModelOpt keeps none, so for its INT8 and FP8 they are taken here."""
        if self.result.ranges:
            return load_ranges(self.folder / self.result.ranges, structure_digest(reference))
        if self._by_us or self.precision not in GRIDS:
            return None
        data = open_data(self.calibration, signature, self.options.data)
        percentiles = () if self.options.percentile is None else (self.options.percentile,)
        return calibrate(reference, self.precision, target, data, self.report, percentiles=percentiles)

    def _labelled(self, signature: Signature, *, needed: bool) -> Labelled | None:
        if self.calibration is None:
            return None
        open_or_find = open_labelled if needed else find_labelled
        return open_or_find(self.calibration, signature, self.options.data)


def _cost(errors: Sensitivity) -> AccuracyCost:
    return AccuracyCost(
        compared_on=errors.parity.inputs, emulated=errors.emulated, first_bad=errors.first_bad, worst=errors.worst
    )
