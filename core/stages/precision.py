"""Puts the asked precision into the ONNX graph, with the remedy when an accuracy was asked for too."""

from __future__ import annotations

from pathlib import Path

import onnx

from core.backends.base import backend_named
from core.base.availability import availability_of, installed_versions
from core.base.errors import InvalidRequest
from core.base.serialization import read_json, write_json
from core.base.units import plural
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.onnxio.walk import op_counts
from core.precision.calibration.samples import SampleSource
from core.precision.load import copy_of, load_simplified
from core.precision.lower import tensors_to_calibrate
from core.precision.prepare import Calibrated, calibrate_model, check_possible, prepare_model
from core.precision.record import PrecisionRecord
from core.precision.settings import PrecisionEngine
from core.precision.study import Study
from core.precision.target import Target, parse_target
from core.request.build_request import BuildRequest
from core.stages import tools
from core.stages.prepare import make_prepared
from core.stages.stage import Needs, Prepared, Recipe, Stage, StageContext, Task
from core.storage.builds import StageName

CALIBRATED = "calibrated.json"


def run(context: StageContext) -> Prepared:
    request, base = context.request, context.prepared
    target = target_of(request.backend, request.lowering.target)

    def make(folder: Path) -> Prepared:
        record = _lowered(context, base, folder, target)
        model = read_onnx(folder / record.entry, weights=False)
        remedy = (record.remedy.cost,) if record.remedy else ()
        violations = (violation.message for violation in record.violations)
        return Prepared(
            artifact=None,
            entry=record.entry,
            format=base.format,
            signature=base.signature if request.lowering.keep_io_types else graph_signature(model),
            ops=op_counts(model),
            details=_details(record),
            notes=tuple(note for note in (record.stamp, *record.notes, *remedy, *violations) if note),
            precision=record,
        )

    recipe = {
        "step": "precision",
        "precision": request.precision,
        "target": target.name,
        "settings": request.lowering,
        **_samples(request),
    }
    return make_prepared(context, base, recipe, _versions(request), make)


def _samples(request: BuildRequest) -> dict[str, object]:
    """What decides about the samples, as a part of a recipe."""
    return {
        "calibration": request.calibration,
        **({"expected": request.ranges} if request.calibration and request.ranges else {}),
        # Random samples are of the lengths that are tuned for, so builds that differ in the others alone share the graph.
        "random": None if request.calibration else [_usual_lengths(request), request.seed, request.ranges],
    }


def _usual_lengths(request: BuildRequest) -> dict[str, int]:
    return {axis: lengths.opt for axis, lengths in request.profile.axes.items()}


def _versions(request: BuildRequest) -> dict[str, str]:
    """Of what lowers and judges the graph; ModelOpt is in an environment of its own."""
    versions = installed_versions("onnx", "onnxruntime", "ml-dtypes")
    if request.lowering.engine is PrecisionEngine.MODELOPT:
        versions[tools.MODELOPT] = tools.tools()[tools.MODELOPT].version or ""
    return versions


def target_of(backend: str, named: str | None) -> Target:
    """What the graph is written for: the named target, else the backend as it is installed here.

    Raises:
        InvalidRequest: No such target, or the backend reads no graphs that have their precision in them.
    """
    found = backend_named(backend)
    target = named or found.target(availability_of(found).version)
    if target is None:
        raise InvalidRequest(f"{found.title} does not take its precision from the graph.", hint="Build it in fp32.")
    return parse_target(target)


def _lowered(context: StageContext, base: Prepared, folder: Path, target: Target) -> PrecisionRecord:
    """Writes the graph, and judges it where that is asked for; the stage before has simplified the source."""
    request, settings = context.request, context.request.lowering
    data = SampleSource(
        path=context.workspace.data_path(request.calibration) if request.calibration else None,
        expected=request.ranges,
        seed=request.seed,
        profile=request.profile,
    )
    check_possible(request.precision, target, settings)
    model = load_simplified(context.source(base).path, request.precision)
    known = None
    if settings.engine is PrecisionEngine.LIGHT and request.precision.facts.leaves_range:
        known = _calibrated(context, base, model, target, data)
    record = prepare_model(
        copy_of(model) if settings.studies else model,
        folder,
        request.precision,
        target=target,
        data=data,
        settings=settings,
        report=context.report,
        calibrated=known,
    )
    if not settings.studies:
        return record
    study = Study(
        model=model,
        folder=folder,
        precision=request.precision,
        target=target,
        record=record,
        data=data,
        settings=settings,
        report=context.report,
    )
    return study.run()


def _calibrated(context: StageContext, base: Prepared, model: onnx.ModelProto, target: Target, data: SampleSource) -> Calibrated:
    """What the samples say, kept for the builds that differ in where Q and DQ go, or in what stays wide: a mend's, say."""
    request = context.request

    def make(folder: Path, key: str) -> None:
        found = calibrate_model(
            model, request.precision, target=target, data=data, settings=request.lowering, report=context.report
        )
        write_json(folder / CALIBRATED, found)

    step = {
        "step": "calibrate",
        "signature": base.signature,
        "tensors": tensors_to_calibrate(model, request.precision, target),
        "quantizes": request.precision.quantizes,  # what cannot be calibrated fails there alone
        "settings": request.lowering.for_calibration,
        **_samples(request),
    }
    recipe = Recipe.of(base.artifact or context.model.digest, step, _versions(request))
    return read_json(Calibrated, context.make_artifact(recipe, make).folder / CALIBRATED)


def _details(record: PrecisionRecord) -> dict[str, str]:
    """What was changed, for people."""
    rows = {
        "target": record.target,
        "engine": record.engine,
        "opset": str(record.opset),
        "converted": plural(len(record.converted), "node"),
        record.left: plural(len(record.kept), "node"),
        record.sampled: record.data,
        "placement": f"as {record.target} wants it" if not record.violations else plural(len(record.violations), "violation"),
    }
    return {name: value for name, value in rows.items() if value}


def _needs(task: Task) -> Needs:
    """Calibration, FP16's range check and every study run the model."""
    settings = task.request.lowering
    needed = [tools.ML_DTYPES]
    if task.request.precision.facts.leaves_range or settings.studies:
        needed.append(tools.ONNXRUNTIME)
    if settings.engine is PrecisionEngine.MODELOPT:
        needed.append(tools.MODELOPT)
    return Needs(tools=tuple(needed))


STAGE = Stage(name=StageName.PRECISION, result=Prepared, run=run, when=lambda task: task.lowers, needs=_needs)
