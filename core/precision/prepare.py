"""Puts a precision into an ONNX graph and writes it into a folder.

FP32 and TF32 leave the graph as it is. FP16 and BF16 become types with casts, INT8 and FP8 become Q/DQ nodes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from core.base.errors import BrokenModel, EngineRoomError
from core.base.precision import Precision
from core.base.progress import Progress, Report, silent
from core.base.reasons import plain_reason, shortened
from core.base.serialization import write_json
from core.models.onnx_graph import graph_signature
from core.onnxio.file import save_onnx
from core.onnxio.walk import opset
from core.precision.calibration.check import DataCheck, check_data
from core.precision.calibration.ranges import UNCALIBRATED, Ranges, load_ranges, structure_digest
from core.precision.calibration.samples import RANDOM, SampleSource, open_data
from core.precision.load import load_for
from core.precision.lower import calibrate, lower, tensors_to_calibrate
from core.precision.modelopt import check_modelopt, lower_with_modelopt
from core.precision.nothing import check_quantizable
from core.precision.record import PrecisionRecord
from core.precision.requested import requested_types
from core.precision.settings import DEFAULTS, PrecisionEngine, PrecisionSettings
from core.precision.target import Target, check_placements, check_target

RANGES_FILE = "ranges.json"


def check_possible(precision: Precision, target: Target, settings: PrecisionSettings) -> None:
    """Refuses what cannot be, before anything is read.

    Raises:
        InvalidRequest: The target has no such precision, or a placement is not for it.
        Unavailable: ModelOpt is wanted and not there.
    """
    check_target(precision, target)
    check_placements(precision, target, settings)
    if precision.in_graph and settings.engine is PrecisionEngine.MODELOPT:
        check_modelopt(precision, target)


def prepare(
    source_onnx: Path,
    folder: Path,
    precision: Precision,
    *,
    target: Target,
    data: SampleSource = RANDOM,
    settings: PrecisionSettings = DEFAULTS,
    report: Report = silent,
) -> PrecisionRecord:
    """Writes the model in that precision for that target into `folder`.

    Args:
        source_onnx: An FP32 model; for quantizing it is simplified first.
        folder: An existing, empty folder.
        precision: What to put in.
        target: What the graph is for.
        data: What to calibrate on; random values get a stamp.
        settings: The rest.
        report: Told where it is.

    Raises:
        InvalidRequest: The data do not fit, or the target has no such precision.
        BrokenModel: The file is no ONNX model, or breaks ONNX's rules.
        ConversionFailed: The graph cannot be carried over.
        Unavailable: A package is missing.
    """
    started = time.monotonic()
    check_possible(precision, target, settings)
    report(Progress(message="Reading the graph", fraction=0.0))
    try:
        model, notes = load_for(source_onnx, precision, report)
        record = prepare_model(model, folder, precision, target=target, data=data, settings=settings, report=report)
    except onnx.shape_inference.InferenceError as error:
        raise BrokenModel(f"ONNX cannot infer the graph's types: {shortened(plain_reason(str(error)))}") from error
    return replace(record, notes=(*notes, *record.notes), seconds=time.monotonic() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What the samples said.

    Attributes:
        ranges: None where the precision asks for none, or random values do not run.
        check: Of the user's own data.
        notes: What there is to say besides.
    """

    ranges: Ranges | None = None
    check: DataCheck = field(default_factory=DataCheck)
    notes: tuple[str, ...] = ()


def prepare_model(
    model: onnx.ModelProto,
    folder: Path,
    precision: Precision,
    *,
    target: Target,
    data: SampleSource = RANDOM,
    settings: PrecisionSettings = DEFAULTS,
    report: Report = silent,
    calibrated: Calibrated | None = None,
) -> PrecisionRecord:
    """The same for a model as `core.precision.load` gives it, which may be changed, and what `check_possible` lets pass.

    Args:
        calibrated: What `calibrate_model` found; it is asked when nothing is given. ModelOpt calibrates itself.
    """
    started = time.monotonic()
    if not precision.in_graph:
        made, record = model, PrecisionRecord(target=target.name, engine=PrecisionEngine.LIGHT.value, precision=precision)
    elif settings.engine is PrecisionEngine.MODELOPT:
        made, record = lower_with_modelopt(model, precision, target, data, settings, report)
    else:
        known = calibrated or calibrate_model(model, precision, target=target, data=data, settings=settings, report=report)
        made, record = _lower_by_us(model, folder, precision, target, known, settings, report)
    record = replace(
        record,
        opset=opset(made),
        requested=requested_types(made) if precision.in_graph else {},
        builder_flags=target.builder_flags(precision),
    )
    _mark(made, record)
    save_onnx(made, folder / record.entry)
    return replace(record, seconds=time.monotonic() - started)


def _lower_by_us(
    model: onnx.ModelProto,
    folder: Path,
    precision: Precision,
    target: Target,
    known: Calibrated,
    settings: PrecisionSettings,
    report: Report,
) -> tuple[onnx.ModelProto, PrecisionRecord]:
    ranges = known.ranges
    report(Progress(message=f"Writing the {precision.value.upper()} graph", fraction=None))
    made, record = lower(model, precision, target, settings, ranges=ranges)
    notes = (*record.notes, *known.notes, *known.check.warnings)
    record = replace(record, inputs=known.check.inputs, notes=notes)
    if ranges is None:
        return made, record
    write_json(folder / RANGES_FILE, ranges)
    stamp = UNCALIBRATED if precision.quantizes and not ranges.calibrated else ""
    return made, replace(record, stamp=stamp, data=ranges.data, ranges=RANGES_FILE)


def calibrate_model(
    model: onnx.ModelProto,
    precision: Precision,
    *,
    target: Target,
    data: SampleSource = RANDOM,
    settings: PrecisionSettings = DEFAULTS,
    report: Report = silent,
) -> Calibrated:
    """The ranges that the precision asks for, known already or taken now, with what there is to say about the data.

    Where Q and DQ go, and what stays wide, has no part in it.

    Raises:
        InvalidRequest: The data do not fit.
        ConversionFailed: ONNX Runtime cannot run the model, or nothing in it can be quantized.
    """
    if precision.quantizes:
        check_quantizable(model, precision)
    if not tensors_to_calibrate(model, precision, target):
        return Calibrated()
    if data.ranges is not None:
        return Calibrated(ranges=load_ranges(data.ranges, structure_digest(model)))
    samples = open_data(data, graph_signature(model), settings)
    try:
        check = check_data(samples, model, data.expected) if samples.calibrated else DataCheck()
        return Calibrated(ranges=calibrate(model, precision, target, samples, report, settings), check=check)
    except EngineRoomError as error:
        if samples.calibrated or precision.quantizes:
            raise
        return Calibrated(notes=(f"FP16's range was not checked, as random values do not run: {error.message}",))


def _mark(model: onnx.ModelProto, record: PrecisionRecord) -> None:
    """Writes into the graph where it comes from."""
    marks = {"precision": record.precision.value if record.precision else "", "target": record.target, "engine": record.engine}
    marks |= {"calibration": record.stamp or record.data, "ranges": record.ranges or ""}
    for key, text in marks.items():
        if text:
            model.metadata_props.add(key=f"engineroom.{key}", value=text)
