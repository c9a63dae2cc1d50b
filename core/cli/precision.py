"""`engineroom precision`: put a precision into an ONNX file, calibrate, audit, and find where accuracy goes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from core.analysis.deviation import deviation
from core.base.box.limits import disk_bytes
from core.base.box.plain import check_plain, make_plain
from core.base.errors import InvalidRequest, StoreFailed
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.serialization import read_json, write_json
from core.base.units import number, seconds
from core.cli.accuracy import first_bad_text, print_layer_errors, print_rounds
from core.cli.boxed import boxed
from core.cli.models import AsJson
from core.cli.options import with_options
from core.cli.output import print_fields, print_json, print_notes, print_table, progress_bar
from core.cli.requests import PARITY_FAILED, require
from core.parity.inputs import parse_ranges
from core.precision import work
from core.precision.calibration.ranges import Ranges
from core.precision.calibration.samples import SampleSource
from core.precision.device import parse_capability, this_device
from core.precision.record import PrecisionRecord
from core.precision.remedy import Remedy
from core.precision.sensitivity import Sensitivity
from core.precision.settings import DEFAULTS, CalibrationMethod, ImageOptions, Placement, PrecisionEngine, PrecisionSettings
from core.precision.target import Device, advise, parse_target

group = typer.Typer(no_args_is_help=True, help="Precision: convert, calibrate, check, and find where accuracy goes.")

PLACEMENT_BROKEN = 1
RANGES_BYTES = 128_000_000

Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", exists=True, dir_okay=False)]
Kind = Annotated[Precision, typer.Option("--precision", "-p")]
For = Annotated[str, typer.Option("--target", "-t", help="onnxruntime, openvino, tensorrt or a version: tensorrt-8.6.")]
Limit = Annotated[int, typer.Option("--samples", min=1, help="At most so many, spread over the data.")]
Percentile = Annotated[
    float | None, typer.Option("--percentile", min=50, max=100, help="Of the activations; the largest without.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoices:
    """Where samples come from, and how they become the model's inputs; the options' own help says what each is."""

    data: Annotated[Path | None, typer.Option("--data", "-d", help=".npz, .npy, a folder of them, or a folder of images.")] = None
    expected: Annotated[
        list[str] | None, typer.Option("--expected", help="What an input was trained on: image=0:1 (repeatable).")
    ] = None
    shape: Annotated[list[str] | None, typer.Option("--shape", help="Length of a dynamic axis for random data (repeatable).")] = (
        None
    )
    image_size: Annotated[str | None, typer.Option("--image-size", help="Height and width of images: 224x224.")] = None
    image_layout: Annotated[str | None, typer.Option("--image-layout", help="nhwc or nchw.")] = None
    image_scale: Annotated[float, typer.Option("--image-scale", help="What pixels are multiplied by.")] = 1 / 255
    image_mean: Annotated[
        str, typer.Option("--image-mean", help="Taken off then: one number, or one a channel: 0.485,0.456,0.406.")
    ] = "0"
    image_std: Annotated[str, typer.Option("--image-std", help="What it is divided by last.")] = "1"

    def source(self, ranges: Path | None = None) -> SampleSource:
        """Where samples come from.

        Raises:
            InvalidRequest: A text cannot be read.
        """
        return SampleSource(
            path=self.data, ranges=ranges, expected=parse_ranges(self.expected or []), profile=parse_profile(self.shape or [])
        )

    @property
    def images(self) -> ImageOptions:
        """How pictures are prepared.

        Raises:
            InvalidRequest: A text cannot be read.
        """
        height, _, width = (self.image_size or "").partition("x")
        if self.image_size and not (height.isdigit() and width.isdigit()):
            raise InvalidRequest(f"Could not read the size {self.image_size!r}.", hint="Write 224x224.")
        if self.image_layout not in (None, "nhwc", "nchw"):
            raise InvalidRequest(f"No layout is called {self.image_layout!r}.", hint="There are nhwc and nchw.")
        return ImageOptions(
            size=(int(height), int(width)) if self.image_size else None,
            layout=self.image_layout,
            scale=self.image_scale,
            mean=_numbers(self.image_mean),
            std=_numbers(self.image_std),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweringChoices:
    """What stays in FP32, and how far quantized values reach."""

    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="A node, or pattern of nodes, to leave in FP32 (repeatable).")
    ] = None
    keep_op: Annotated[list[str] | None, typer.Option("--keep-op", help="An op type to leave in FP32 (repeatable).")] = None
    percentile: Percentile = None
    placement: Annotated[
        list[Placement] | None,
        typer.Option("--placement", help="Where Q and DQ go other than by TensorRT's rules, INT8 and FP8 (repeatable)."),
    ] = None
    ranges: Annotated[Path | None, typer.Option("--ranges", help="From `calibrate`, or an earlier `convert`.")] = None

    @property
    def absolute_ranges(self) -> Path | None:
        return self.ranges.absolute() if self.ranges else None

    @property
    def settings(self) -> PrecisionSettings:
        settings = PrecisionSettings(
            keep_nodes=tuple(self.keep or ()), keep_ops=tuple(self.keep_op or ()), percentile=self.percentile
        )
        return settings.placing(self.placement or ())


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="precision")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InvalidRequest(f"Could not read the numbers {text!r}.", hint="Write 0.5 or 0.485,0.456,0.406.") from None


@group.command("convert")
@with_options
def convert_command(
    model: Model,
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the graph, its ranges and a report.")],
    precision: Kind,
    chosen: DataChoices,
    lowering: LoweringChoices,
    target: For = "onnxruntime",
    samples: Limit = DEFAULTS.samples,
    keep_io: Annotated[bool, typer.Option(help="Leave inputs and outputs in FP32.")] = True,
    engine: Annotated[PrecisionEngine, typer.Option("--engine", help="Our own passes, or ModelOpt's.")] = DEFAULTS.engine,
    method: Annotated[CalibrationMethod, typer.Option("--method", help="ModelOpt's calibration.")] = DEFAULTS.method,
    json: AsJson = False,
) -> None:
    """Write a model in a precision."""
    settings = replace(
        lowering.settings, engine=engine, method=method, keep_io_types=keep_io, samples=samples, images=chosen.images
    )
    data = chosen.source(lowering.ranges)
    if out.exists() and any(out.iterdir()):
        raise InvalidRequest(f"{out} is not empty.", hint="Name a new folder.")
    parse_target(target)
    out.parent.mkdir(parents=True, exist_ok=True)
    given = (model, data.path, data.ranges)
    with (
        progress_bar(precision.value) as report,
        boxed(f"Converting {model.name}", *given, beside=out.absolute().parent) as (child, box),
    ):
        made = box.home / "made"
        record = child.call(work.convert, model.absolute(), made, precision, target, data.absolute(), settings, report)
        _take(made, out)
    if json:
        print_json(record)
    else:
        _show_record(record, precision, out)


def _take(made: Path, out: Path) -> None:
    """Puts what the process made where the user wants it, which holds nothing yet.

    Raises:
        StoreFailed: It left something that is not a plain file, or the folder cannot be written.
    """
    make_plain(made, most_bytes=disk_bytes(made))
    try:
        if out.exists():
            out.rmdir()
        shutil.move(made, out)
    except OSError as error:
        raise StoreFailed(f"{out} cannot be written: {error.strerror}.", hint="Name another folder.") from error


def _show_record(record: PrecisionRecord, precision: Precision, out: Path) -> None:
    fields = [
        ("graph", out / record.entry),
        ("precision", f"{precision.value} for {record.target}, opset {record.opset}, by {record.engine}"),
        ("converted", f"{len(record.converted)} nodes"),
        (record.left, f"{len(record.kept)} nodes" if record.kept else ""),
        (record.sampled, record.data),
        ("ranges", out / record.ranges if record.ranges else ""),
        ("builder flags", ", ".join(record.builder_flags)),
        ("took", seconds(record.seconds) if record.seconds is not None else ""),
    ]
    print_fields(precision.value.upper(), fields)
    if record.kept:
        print_table(record.left.capitalize(), ["node", "why"], list(record.kept.items()))
    print_notes([*([record.stamp] if record.stamp else []), *(v.message for v in record.violations), *record.notes])


@group.command("calibrate")
@with_options
def calibrate_command(
    model: Model,
    out: Annotated[Path, typer.Argument(metavar="RANGES.json")],
    chosen: DataChoices,
    precision: Kind = Precision.INT8,
    target: For = "onnxruntime",
    samples: Limit = DEFAULTS.samples,
    percentile: Percentile = None,
    json: AsJson = False,
) -> None:
    """Take the ranges of a model's tensors on data, to use with any number of conversions."""
    settings = PrecisionSettings(percentile=percentile, samples=samples, images=chosen.images)
    source = chosen.source().absolute()
    parse_target(target)
    place = out.absolute().parent
    with (
        progress_bar("calibrate") as report,
        boxed(f"Calibrating {model.name}", model, source.path, beside=place) as (child, box),
    ):
        made = box.home / "ranges.json"
        found = child.call(work.take_ranges, model.absolute(), made, precision, target, source, settings, report)
        check_plain(made, os.lstat(made), RANGES_BYTES)
        ranges = read_json(Ranges, made)
    write_json(out, ranges)
    if json:
        print_json(ranges)
        return
    rows = [[one.name, number(one.low), number(one.high), number(one.mean)] for one in found.inputs]
    print_table(found.data, ["input", "min", "max", "mean"], rows, numbers=["min", "max", "mean"])
    print_fields(out.name, [("tensors", found.tensors), ("samples", found.samples)])
    print_notes(list(found.notes))


@group.command("check")
def check_command(model: Model, target: For = "tensorrt", json: AsJson = False) -> None:
    """Audit where a graph's Q/DQ nodes lie."""
    parse_target(target)
    with boxed(f"Checking {model.name}", model) as (child, _):
        told = child.call(work.audit, model.absolute(), target)
    found = told.violations
    if json:
        print_json(list(found))
    elif found:
        print_table(
            f"{len(found)} violations",
            ["rule", "node", "what"],
            [[v.rule.value if v.rule else None, v.node, v.message] for v in found],
        )
    else:
        print_notes([f"{told.pairs} DQ nodes, no violation." if told.pairs else "The graph has no Q/DQ nodes."])
    if found:
        raise typer.Exit(PLACEMENT_BROKEN)


@group.command("sensitivity")
@with_options
def sensitivity_command(
    model: Model,
    precision: Kind,
    chosen: DataChoices,
    lowering: LoweringChoices,
    samples: Limit = 8,
    calibration: Annotated[Path | None, typer.Option("--calibration", help="Data to quantize with; --data without.")] = None,
    target: For = "onnxruntime",
    labelled: Annotated[Path | None, typer.Option("--labelled", help="An .npz with labels, or folders of classes.")] = None,
    max_rel: Annotated[float | None, typer.Option("--max-rel", help="Keep layers in FP32 until outputs are this close.")] = None,
    top1_drop: Annotated[float | None, typer.Option("--top1-drop", help="Or until so much top-1 is lost at most: 0.01.")] = None,
    json: AsJson = False,
) -> None:
    """Name the layers that lose accuracy; with a goal, find which ones to keep in FP32."""
    settings = replace(lowering.settings, images=chosen.images, max_rel=max_rel, top1_drop=top1_drop)
    parse_target(target)
    source = chosen.source().absolute()
    own = replace(source, path=calibration.absolute() if calibration else source.path, ranges=lowering.absolute_ranges)
    sorted_data = labelled.absolute() if labelled else None
    with (
        progress_bar("sensitivity") as report,
        boxed(f"Looking at {model.name}", model, source.path, own.path, own.ranges, sorted_data) as (child, _),
    ):
        loss = child.call(
            work.find_loss, model.absolute(), precision, target, source, own, sorted_data, settings, samples, report
        )
    found = loss.remedy or require(loss.layers)
    if json:
        print_json(found)
    elif isinstance(found, Remedy):
        _show_remedy(found)
    else:
        _show_layers(found)
    if isinstance(found, Remedy) and not found.met:
        raise typer.Exit(PARITY_FAILED)


def _show_layers(found: Sensitivity) -> None:
    print_layer_errors(found.worst)
    outputs = [(output.name, ", ".join(deviation(output))) for output in found.parity.outputs]
    print_fields("Outputs", [*outputs, ("first bad layer", first_bad_text(found.first_bad))])


def _show_remedy(found: Remedy) -> None:
    _show_layers(found.before)
    print_rounds(found.rounds)
    verdict = (
        f"Good enough with {len(found.keep)} layers in FP32." if found.met else "Not even keeping every layer is good enough."
    )
    print_notes([verdict, found.cost, *(f"--keep {name!r}" for name in found.keep)])


@group.command("advise")
def advise_command(
    target: For = "tensorrt",
    compute_capability: Annotated[
        str | None, typer.Option("--compute-capability", help="Of a GPU that is elsewhere: 8.9.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Tell which precisions a device and a runtime's version can run, and why not the others."""
    device = Device(kind="cuda", compute_capability=parse_capability(compute_capability)) if compute_capability else None
    found = advise(parse_target(target), device or this_device(parse_target(target)))
    if json:
        print_json(list(found))
        return
    fast = {True: "yes", False: "no", None: "measure it"}
    rows = [[one.precision.value, "yes" if one.supported else "no", fast[one.fast], one.reason] for one in found]
    print_table(f"Precisions on {target}", ["precision", "supported", "native", "why"], rows)
