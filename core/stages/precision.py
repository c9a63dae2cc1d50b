"""Puts the asked precision into the ONNX graph, with the remedy when an accuracy was asked for too."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from core.backends.base import backend_named
from core.errors import ConversionFailed
from core.onnxfile import graph_signature, op_counts, read_onnx
from core.precision.calibration import structure_digest
from core.precision.calibration_data import DataOptions, open_data
from core.precision.labelled import Labelled, open_labelled
from core.precision.lower import load_once
from core.precision.prepare import PrecisionOptions, PrecisionResult, prepare
from core.precision.ranges import load_ranges
from core.precision.remedy import Goal, Remedy, find_remedy
from core.precision.sensitivity import TRIAL_TARGET
from core.precision.target import ONNXRUNTIME, OPENVINO, TENSORRT, Target, parse_target
from core.progress import silent
from core.serialization import write_json
from core.stages.prepare import make_prepared
from core.stages.stage import Prepared, StageContext

RESULT, REMEDY = "precision.json", "remedy.json"
COMPARED_SAMPLES = 8


def run(context: StageContext) -> Prepared:
    request, base = context.request, context.prepared
    target = target_of(request.backend, request.lowering.target)

    def make(folder: Path) -> Prepared:
        result = _lowered(context, context.source(base).path, folder, target)
        model = read_onnx(folder / result.entry, weights=False)
        return Prepared(
            artifact=None,
            entry=result.entry,
            format=base.format,
            signature=base.signature if request.lowering.keep_io_types else graph_signature(model),
            ops=op_counts(model),
            details=_details(result),
            notes=tuple(note for note in (result.stamp, *result.notes, *(v.message for v in result.violations)) if note),
        )

    recipe = {
        "step": "precision",
        "precision": request.precision,
        "target": target.name,
        "settings": request.lowering,
        "calibration": request.calibration,
        "random": None if request.calibration else [request.profile, request.seed, request.ranges],
    }
    return make_prepared(context, base, recipe, make)


def target_of(backend: str, named: str | None) -> Target:
    """What the graph is written for: the named target, else the backend as it is installed here."""
    if named:
        return parse_target(named)
    if backend == TENSORRT:
        version = backend_named(backend).availability().version
        return parse_target(f"{TENSORRT}-{version}" if version else TENSORRT)
    return parse_target(OPENVINO if backend == OPENVINO else ONNXRUNTIME)


def _lowered(context: StageContext, source: Path, folder: Path, target: Target) -> PrecisionResult:
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
    put_in = partial(prepare, source, folder, request.precision, target=target, calibration=calibration, report=context.report)
    result = put_in(options=options)
    if settings.max_rel is not None or settings.top1_drop is not None:
        remedy = _remedy(context, source, folder, result, options, calibration, target)
        write_json(folder / REMEDY, remedy)
        if not remedy.met:
            precision = request.precision.value.upper()
            raise ConversionFailed(
                f"{precision} does not reach the accuracy asked for, even with {len(remedy.keep)} nodes in FP32.",
                hint="Ask for less, or for another precision.",
                detail=remedy.cost,
            )
        if remedy.keep:
            result = put_in(options=replace(options, keep_nodes=(*options.keep_nodes, *remedy.keep)))
        result = replace(result, notes=(*result.notes, remedy.cost))
    write_json(folder / RESULT, result)
    return result


def _remedy(
    context: StageContext,
    source: Path,
    folder: Path,
    result: PrecisionResult,
    options: PrecisionOptions,
    calibration: Path | None,
    target: Target,
) -> Remedy:
    settings, precision = context.request.lowering, context.request.precision
    signature = graph_signature(read_onnx(source, weights=False))
    few = replace(options.data, limit=COMPARED_SAMPLES)
    labelled: Labelled | None = None
    if settings.top1_drop is not None and calibration is not None:
        labelled = open_labelled(calibration, signature, options.data)
    load = load_once(source, precision, silent)
    return find_remedy(
        load,
        precision,
        Goal(max_rel=settings.max_rel, top1_drop=settings.top1_drop),
        open_data(calibration, signature, few),
        ranges=load_ranges(folder / result.ranges, structure_digest(load())) if result.ranges else None,
        labelled=labelled,
        keep=options.keep,
        percentile=options.percentile,
        target=target if target.runtime == ONNXRUNTIME else TRIAL_TARGET,
        report=context.report,
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
