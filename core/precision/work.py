"""What `engineroom precision` does with a user's model and data, each in one function that a process of its own can be asked for.

Paths are absolute; see `core.base.children`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from core.base.precision import Precision
from core.base.progress import Report
from core.base.serialization import write_json
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.onnxio.walk import name_nodes
from core.precision.calibration.check import check_data
from core.precision.calibration.labelled import open_labelled
from core.precision.calibration.ranges import UNCALIBRATED, load_ranges, structure_digest
from core.precision.calibration.samples import SampleSource, open_data
from core.precision.load import copy_of, load_for
from core.precision.lower import calibrate
from core.precision.placement_check import check_placement
from core.precision.prepare import prepare
from core.precision.record import InputSummary, PrecisionRecord, Violation
from core.precision.remedy import Remedy, find_remedy
from core.precision.sensitivity import Sensitivity, layer_errors, make_trial
from core.precision.settings import PrecisionSettings
from core.precision.target import QuantizedOutputs, parse_target


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a calibration found; the ranges themselves are in the file that was asked for.

    Attributes:
        data: Where the samples come from, for people.
    """

    data: str
    inputs: tuple[InputSummary, ...]
    tensors: int
    samples: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Where Q/DQ nodes lie."""

    pairs: int
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Which layers lose accuracy, or, with a goal, which of them to keep in FP32."""

    layers: Sensitivity | None = None
    remedy: Remedy | None = None


def convert(
    model: Path, folder: Path, precision: Precision, target: str, data: SampleSource, settings: PrecisionSettings, report: Report
) -> PrecisionRecord:
    """Writes the model in a precision into a folder."""
    folder.mkdir()
    return prepare(model, folder, precision, target=parse_target(target), data=data, settings=settings, report=report)


def take_ranges(
    model: Path, ranges: Path, precision: Precision, target: str, data: SampleSource, settings: PrecisionSettings, report: Report
) -> Calibration:
    """Takes the ranges of the model's tensors on data, and writes them."""
    loaded, notes = load_for(model, precision, report)
    opened = open_data(data, graph_signature(loaded), settings)
    check = check_data(opened, loaded, data.expected)
    found = calibrate(loaded, precision, parse_target(target), opened, report, settings)
    write_json(ranges, found)
    return Calibration(
        data=opened.description,
        inputs=tuple(check.inputs),
        tensors=len(found.tensors),
        samples=found.samples,
        notes=(*([] if found.calibrated else [UNCALIBRATED]), *notes, *check.warnings),
    )


def audit(model: Path, target: str) -> Audit:
    """Where the model's Q/DQ nodes lie, by a target's rules."""
    loaded = read_onnx(model)
    name_nodes(loaded)
    wanted = parse_target(target)
    stored = wanted.stores_weights or wanted.strongly_typed
    found = check_placement(loaded, stored_weights=stored, tensorrt=wanted.quantized_outputs is not QuantizedOutputs.ALL)
    return Audit(pairs=sum(node.op_type == "DequantizeLinear" for node in loaded.graph.node), violations=tuple(found))


def find_loss(
    model: Path,
    precision: Precision,
    target: str,
    data: SampleSource,
    calibration: SampleSource,
    labelled: Path | None,
    settings: PrecisionSettings,
    samples: int,
    report: Report,
) -> Loss:
    """Which layers lose accuracy.

    Args:
        data: What outputs are compared on, at most `samples` of them.
        calibration: What is quantized with, or the ranges that are taken in its place.
    """
    tried = replace(parse_target(target), emulated=True)
    loaded, _ = load_for(model, precision, report)
    signature = graph_signature(loaded)
    compared = open_data(data, signature, replace(settings, samples=samples))
    known = load_ranges(calibration.ranges, structure_digest(loaded)) if calibration.ranges else None
    if known is None and precision.quantizes:
        known = calibrate(loaded, precision, tried, open_data(calibration, signature, settings), report, settings)
    if not settings.has_goal:
        trial = make_trial(copy_of(loaded), precision, settings, ranges=known, target=tried)
        return Loss(layers=layer_errors(loaded, trial, compared, report))
    opened = open_labelled(labelled, signature, settings) if labelled else None
    found = find_remedy(loaded, precision, settings, compared, ranges=known, labelled=opened, target=tried, report=report)
    return Loss(remedy=found)
