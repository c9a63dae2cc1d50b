"""Puts the asked precision into the ONNX graph, with the remedy when an accuracy was asked for too."""

from __future__ import annotations

from pathlib import Path

import onnx

from core.backends.base import backend_named
from core.base.availability import availability_of, installed_versions
from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.onnxio.walk import op_counts
from core.precision.calibration_data import DataOptions
from core.precision.prepare import PrecisionOptions, PrecisionResult, prepare
from core.precision.record import PrecisionRecord
from core.precision.remedy import Goal
from core.precision.requested import requested_types
from core.precision.settings import MODELOPT
from core.precision.study import Studied, Study
from core.precision.target import Target, parse_target
from core.request.build_request import BuildRequest
from core.stages import tools
from core.stages.prepare import make_prepared
from core.stages.stage import Needs, Prepared, Stage, StageContext, Task
from core.storage.builds import StageName


def run(context: StageContext) -> Prepared:
    request, base = context.request, context.prepared
    target = target_of(request.backend, request.lowering.target)

    def make(folder: Path) -> Prepared:
        result, studied = _lowered(context, context.source(base).path, folder, target)
        model = read_onnx(folder / result.entry, weights=False)
        cost = (studied.remedy.cost,) if studied and studied.remedy else ()
        return Prepared(
            artifact=None,
            entry=result.entry,
            format=base.format,
            signature=base.signature if request.lowering.keep_io_types else graph_signature(model),
            ops=op_counts(model),
            details=_details(result),
            notes=tuple(n for n in (result.stamp, *result.notes, *cost, *(v.message for v in result.violations)) if n),
            precision=_record(result, studied, model),
        )

    recipe = {
        "step": "precision",
        "precision": request.precision,
        "target": target.name,
        "settings": request.lowering,
        "calibration": request.calibration,
        "random": None if request.calibration else [request.profile, request.seed, request.ranges],
    }
    return make_prepared(context, base, recipe, _versions(request), make)


def _versions(request: BuildRequest) -> dict[str, str | None]:
    """Of what lowers and judges the graph; ModelOpt is in an environment of its own."""
    own = installed_versions("onnx", "onnxruntime", "onnxslim", "ml-dtypes")
    return {**own, **({MODELOPT: tools.tools()[MODELOPT].version} if request.lowering.engine == MODELOPT else {})}


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


def _lowered(context: StageContext, source: Path, folder: Path, target: Target) -> tuple[PrecisionResult, Studied | None]:
    request, settings = context.request, context.request.lowering
    calibration = context.workspace.data_path(request.calibration) if request.calibration else None
    data = DataOptions(
        limit=settings.samples, images=settings.images, expected=request.ranges, seed=request.seed, profile=request.profile
    )
    options = PrecisionOptions(
        engine=settings.engine,
        keep_ops=settings.keep_ops,
        keep_nodes=settings.keep_nodes,
        keep_io_types=settings.keep_io_types,
        percentile=settings.percentile,
        data=data,
        method=settings.method,
    )
    goal = None
    if settings.max_rel is not None or settings.top1_drop is not None:
        goal = Goal(max_rel=settings.max_rel, top1_drop=settings.top1_drop)
    result = prepare(
        source, folder, request.precision, target=target, calibration=calibration, options=options, report=context.report
    )
    if goal is None and not settings.layer_errors:
        return result, None
    study = Study(
        source=source,
        folder=folder,
        precision=request.precision,
        target=target,
        result=result,
        calibration=calibration,
        options=options,
        report=context.report,
    )
    studied = study.run(goal)
    return studied.result, studied


def _record(result: PrecisionResult, studied: Studied | None, model: onnx.ModelProto) -> PrecisionRecord:
    return PrecisionRecord(
        target=result.target,
        engine=result.engine,
        requested=requested_types(model),
        kept=result.kept,
        violations=tuple(violation.message for violation in result.violations),
        stamp=result.stamp,
        data=result.data,
        cost=studied.cost if studied else None,
        remedy=studied.remedy if studied else None,
    )


def _details(result: PrecisionResult) -> dict[str, str]:
    """What was changed, for people."""
    rows = {
        "target": result.target,
        "engine": result.engine,
        "opset": str(result.opset),
        "converted": f"{len(result.converted)} nodes",
        "kept in fp32": f"{len(result.kept)} nodes",
        "calibrated on": result.data,
        "placement": "as TensorRT wants it" if not result.violations else f"{len(result.violations)} violations",
    }
    return {name: value for name, value in rows.items() if value}


def _needs(task: Task) -> Needs:
    """Quantizing simplifies first; calibration, FP16's range check and every study run the model."""
    settings, precision = task.request.lowering, task.request.precision
    studies = settings.layer_errors or settings.max_rel is not None or settings.top1_drop is not None
    needed = [tools.ML_DTYPES]
    if precision.quantizes:
        needed.append(tools.ONNXSLIM)
    if precision is not Precision.BF16 or studies:
        needed.append(tools.ONNXRUNTIME)
    return Needs(tools=(*needed, *((MODELOPT,) if settings.engine == MODELOPT else ())))


STAGE = Stage(name=StageName.PRECISION, result=Prepared, run=run, when=lambda task: task.lowers, needs=_needs)
