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
from core.parity.result import Accuracy
from core.precision.calibration.labelled import Labelled, find_labelled, labelled_accuracy, open_labelled
from core.precision.calibration.ranges import Ranges, load_ranges, structure_digest
from core.precision.calibration.samples import CalibrationData, SampleSource, open_data
from core.precision.load import copy_of
from core.precision.lower import calibrate
from core.precision.prepare import prepare_model
from core.precision.record import AccuracyCost, PrecisionRecord, RemedyRecord
from core.precision.remedy import find_remedy, is_met
from core.precision.sensitivity import TRIAL_TARGET, Sensitivity, Trial, layer_errors, make_trial
from core.precision.settings import PrecisionEngine, PrecisionSettings
from core.precision.target import Target

COMPARED_SAMPLES = 8
KEPT_FOR_GOAL = "the accuracy asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One model, precision and set of data; `run` carries it out.

    Attributes:
        model: The FP32 model, as `core.precision.load` gives it; left as it is.
        folder: Where `prepare_model` wrote a copy of it in the precision, and writes again when nodes must be kept.
        record: What it told.
        data: As `prepare_model` took it; its labels are used where it has some.
        settings: As `prepare_model` took them; with a goal, what is needed for it is kept in FP32.
    """

    model: onnx.ModelProto
    folder: Path
    precision: Precision
    target: Target
    record: PrecisionRecord
    data: SampleSource
    settings: PrecisionSettings
    report: Report = silent

    def run(self) -> PrecisionRecord:
        """Compares every layer with FP32 on a few samples; with a goal, keeps the worst in FP32 until it is met.

        The search works on our own conversion. What ModelOpt then makes of the nodes to keep is judged again, where a CPU can.

        Returns:
            The record of the last conversion, with the cost and the remedy.

        Raises:
            InvalidRequest: The data do not fit, or the goal needs labels.
            ConversionFailed: The goal cannot be met.
        """
        signature = graph_signature(self.model)
        few = open_data(self.data, signature, replace(self.settings, samples=COMPARED_SAMPLES))
        labelled = self._labelled(signature)
        target = replace(self.target, emulated=True) if self._by_us else TRIAL_TARGET
        ranges = self._ranges(signature, target)
        if self.settings.has_goal:
            return self._mended(few, labelled, target, ranges)
        trial = self._made(self.record) or make_trial(
            copy_of(self.model), self.precision, self.settings, ranges=ranges, target=target
        )
        errors = layer_errors(self.model, trial, few, self.report)
        true = labelled_accuracy(self.model, labelled) if labelled else None
        return replace(self.record, cost=_cost(errors, _accuracy(trial, labelled), true))

    def _mended(self, few: CalibrationData, labelled: Labelled | None, target: Target, ranges: Ranges | None) -> PrecisionRecord:
        found = find_remedy(
            self.model,
            self.precision,
            self.settings,
            few,
            ranges=ranges,
            labelled=labelled,
            target=target,
            report=self.report,
        )
        name = self.precision.value.upper()
        if not found.met:
            raise ConversionFailed(
                f"{name} does not reach the accuracy asked for, even with {len(found.keep)} nodes in FP32.",
                hint="Ask for less, or for another precision.",
                detail=found.cost,
            )
        record = self._again(found.keep) if found.keep else self.record
        if not record.converted:
            raise ConversionFailed(
                f"{name} has the accuracy asked for only with every node in FP32.",
                hint="Ask for less, or for another precision.",
            )
        if made := self._made(record):
            parity = layer_errors(self.model, made, few).parity
            if not is_met(self.settings, parity, _accuracy(made, labelled), found.reference_accuracy):
                raise ConversionFailed(
                    f"ModelOpt's {name} graph misses the accuracy asked for; ours has it with {len(found.keep)} nodes in FP32.",
                    hint=f"Use the engine `{PrecisionEngine.LIGHT.value}`, ask for less, or name more nodes to keep.",
                )
        return replace(
            record,
            cost=_cost(found.before, found.accuracy, found.reference_accuracy),
            remedy=RemedyRecord(keep=found.keep, rounds=found.rounds, cost=found.cost),
        )

    @property
    def _by_us(self) -> bool:
        return self.settings.engine is PrecisionEngine.LIGHT

    def _made(self, record: PrecisionRecord) -> Trial | None:
        """What another engine made, where a CPU computes it faithfully: INT8 and FP8 are Q/DQ, which compute what they say."""
        if self._by_us or not self.precision.quantizes:
            return None
        return Trial(model=read_onnx(self.folder / record.entry), converted=record.converted)

    def _again(self, keep: tuple[str, ...]) -> PrecisionRecord:
        """The conversion with more nodes kept, from the first one's ranges; ModelOpt has none and calibrates by itself."""
        known = self.folder / self.record.ranges if self.record.ranges else None
        made = prepare_model(
            copy_of(self.model),
            self.folder,
            self.precision,
            target=self.target,
            data=replace(self.data, ranges=known or self.data.ranges),
            settings=self.settings.keeping(keep),
            report=self.report,
        )
        if known:  # what was said about the data stays true
            made = replace(made, inputs=self.record.inputs, notes=self.record.notes)
        return replace(made, kept={**made.kept, **dict.fromkeys(keep, KEPT_FOR_GOAL)})

    def _ranges(self, signature: Signature, target: Target) -> Ranges | None:
        """Those of the conversion; ModelOpt keeps none, so for its INT8 and FP8 they are taken here."""
        if self.record.ranges:
            return load_ranges(self.folder / self.record.ranges, structure_digest(self.model))
        if self._by_us or not self.precision.quantizes:
            return None
        data = open_data(self.data, signature, self.settings)
        return calibrate(self.model, self.precision, target, data, self.report, self.settings)

    def _labelled(self, signature: Signature) -> Labelled | None:
        if self.data.path is None:
            return None
        open_or_find = open_labelled if self.settings.top1_drop is not None else find_labelled
        return open_or_find(self.data.path, signature, self.settings)


def _accuracy(trial: Trial, labelled: Labelled | None) -> Accuracy | None:
    return labelled_accuracy(trial.model, labelled, exact=trial.exact) if labelled else None


def _cost(errors: Sensitivity, accuracy: Accuracy | None, reference: Accuracy | None) -> AccuracyCost:
    return AccuracyCost(
        compared_on=errors.parity.inputs,
        emulated=errors.emulated,
        first_bad=errors.first_bad,
        worst=errors.worst,
        accuracy=accuracy,
        reference_accuracy=reference,
    )
