"""Puts a precision into an ONNX graph: the one function that a build calls.

FP32 and TF32 leave the graph as it is. FP16 and BF16 become types with casts, INT8 and FP8 become Q/DQ nodes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from core.base.errors import EngineRoomError, InvalidRequest
from core.base.precision import Precision
from core.base.progress import Progress, Report, silent
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.onnxio.walk import name_nodes, opset
from core.precision.calibration import structure_digest
from core.precision.calibration_data import DataOptions, open_data
from core.precision.data_check import DataCheck, InputSummary, check_data
from core.precision.float16 import Keep
from core.precision.lower import calibrate, load_for, lower
from core.precision.placement_check import Violation
from core.precision.quantize import GRIDS
from core.precision.ranges import UNCALIBRATED, Ranges, load_ranges, save_ranges
from core.precision.settings import LIGHT, MODELOPT
from core.precision.target import Target, check_target

ENTRY = "model.onnx"
RANGES_FILE = "ranges.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionOptions:
    """How a precision is put in.

    Attributes:
        engine: "light" for our own passes, "modelopt" for NVIDIA's ModelOpt in its own environment.
        keep_ops: Op types that stay FP32.
        keep_nodes: Names or patterns of nodes that stay FP32.
        keep_io_types: Leave inputs and outputs in FP32 (FP16 and BF16).
        check_range: Keep in FP32 what leaves FP16's range on the calibration data, or on random ones.
        percentile: Of the activations' magnitudes that INT8 and FP8 reach to; None for the largest seen.
        ranges: A file of ranges from an earlier calibration, used instead of data.
        data: How calibration data are read.
        method: ModelOpt's calibration: "max" or "entropy".
        python: The interpreter that has ModelOpt.
    """

    engine: str = LIGHT
    keep_ops: tuple[str, ...] = ()
    keep_nodes: tuple[str, ...] = ()
    keep_io_types: bool = True
    check_range: bool = True
    percentile: float | None = None
    ranges: Path | None = None
    data: DataOptions = field(default_factory=DataOptions)
    method: str = "max"
    python: Path | None = None

    @property
    def keep(self) -> Keep:
        return Keep(ops=frozenset(self.keep_ops), nodes=self.keep_nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionResult:
    """What was put in.

    Attributes:
        entry: The graph, below the folder.
        converted: Names of the nodes that now compute in the precision.
        kept: Nodes that could have and did not, each with why.
        violations: Of the placement that TensorRT wants.
        stamp: Set when no real data were used: a sentence that goes wherever the model goes.
        data: Where the calibration samples came from, "" without any.
        inputs: The calibration data's summary.
        ranges: The file of ranges below the folder, for use with other builds of this model.
        builder_flags: What TensorRT needs to be told besides.
    """

    entry: str
    precision: Precision
    target: str
    engine: str
    opset: int
    converted: tuple[str, ...] = ()
    kept: dict[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    stamp: str = ""
    data: str = ""
    inputs: tuple[InputSummary, ...] = ()
    ranges: str | None = None
    builder_flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


def prepare(
    source_onnx: Path,
    folder: Path,
    precision: Precision,
    *,
    target: Target,
    calibration: Path | None = None,
    options: PrecisionOptions | None = None,
    report: Report = silent,
) -> PrecisionResult:
    """Writes the model in that precision for that target into `folder`.

    Args:
        source_onnx: An FP32 model.
        folder: An existing, empty folder.
        precision: What to put in.
        target: What the graph is for.
        calibration: The user's data in any form of `open_data`; None for seeded random values, which get a stamp.
        options: The rest.
        report: Told where it is.

    Raises:
        InvalidRequest: The data do not fit, or the target has no such precision.
        BrokenModel: The file is no ONNX model.
        ConversionFailed: The graph cannot be carried over.
        Unavailable: A package is missing.
    """
    options = options or PrecisionOptions()
    started = time.monotonic()
    check_target(precision, target)
    if not precision.in_graph:
        result = _as_it_is(source_onnx, folder, precision, target)
    elif options.engine == MODELOPT:
        from core.precision.modelopt import prepare_with_modelopt

        result = prepare_with_modelopt(source_onnx, folder, precision, target, calibration, options, report)
    elif options.engine == LIGHT:
        result = _light(source_onnx, folder, precision, target, calibration, options, report)
    else:
        raise InvalidRequest(f"No precision engine is called {options.engine!r}.", hint=f"There are {LIGHT} and {MODELOPT}.")
    return replace(result, seconds=time.monotonic() - started)


def _as_it_is(source: Path, folder: Path, precision: Precision, target: Target) -> PrecisionResult:
    model = read_onnx(source)
    name_nodes(model)
    return finish(model, folder, PrecisionResult(entry=ENTRY, precision=precision, target=target.name, engine=LIGHT, opset=0))


def _light(
    source: Path,
    folder: Path,
    precision: Precision,
    target: Target,
    calibration: Path | None,
    options: PrecisionOptions,
    report: Report,
) -> PrecisionResult:
    report(Progress(message="Reading the graph", fraction=0.0))
    model, notes = load_for(source, precision, report)
    found = _calibrated(model, precision, target, calibration, options, report)
    if found.ranges is not None:
        save_ranges(found.ranges, folder / RANGES_FILE)
    report(Progress(message=f"Writing the {precision.value.upper()} graph", fraction=None))
    lowered = lower(
        model,
        precision,
        target,
        ranges=found.ranges,
        keep=options.keep,
        keep_io_types=options.keep_io_types,
        percentile=options.percentile,
    )
    result = PrecisionResult(
        entry=ENTRY,
        precision=precision,
        target=target.name,
        engine=LIGHT,
        opset=0,
        converted=lowered.converted,
        kept=lowered.kept,
        violations=lowered.violations,
        stamp=UNCALIBRATED if precision in GRIDS and found.ranges is not None and not found.ranges.calibrated else "",
        data=found.ranges.data if found.ranges else "",
        inputs=found.check.inputs if found.check else (),
        ranges=RANGES_FILE if found.ranges is not None else None,
        builder_flags=target.builder_flags(precision),
        notes=(*notes, *lowered.notes, *found.notes, *(found.check.warnings if found.check else ())),
    )
    return finish(lowered.model, folder, result)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibrated:
    ranges: Ranges | None = None
    check: DataCheck | None = None
    notes: tuple[str, ...] = ()


def _calibrated(
    model: onnx.ModelProto,
    precision: Precision,
    target: Target,
    calibration: Path | None,
    options: PrecisionOptions,
    report: Report,
) -> _Calibrated:
    """The ranges that the precision asks for: the user's own, from the user's data, or from random values."""
    if precision is Precision.BF16 or (precision is Precision.FP16 and not options.check_range):
        return _Calibrated()
    if options.ranges is not None:
        return _Calibrated(ranges=load_ranges(options.ranges, structure_digest(model)))
    data = open_data(calibration, graph_signature(model), options.data)
    percentiles = () if options.percentile is None else (options.percentile,)
    try:
        check = check_data(data, model, options.data.expected) if data.calibrated else None
        ranges = calibrate(model, precision, target, data, report, percentiles=percentiles)
    except EngineRoomError as error:
        if data.calibrated or precision in GRIDS:
            raise
        return _Calibrated(notes=(f"FP16's range was not checked, as random values do not run: {error.message}",))
    return _Calibrated(ranges=ranges, check=check)


def finish(model: onnx.ModelProto, folder: Path, result: PrecisionResult) -> PrecisionResult:
    """Marks the graph with where it comes from, and writes it."""
    marks = {"precision": result.precision.value, "target": result.target, "engine": result.engine}
    marks |= {key: text for key, text in (("calibration", result.stamp or result.data), ("ranges", result.ranges)) if text}
    for key, text in marks.items():
        model.metadata_props.add(key=f"engineroom.{key}", value=text)
    save_onnx(model, folder / result.entry)
    return replace(result, opset=opset(model) or 0)
