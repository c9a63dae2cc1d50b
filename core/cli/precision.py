"""`engineroom precision`: put a precision into an ONNX file, calibrate, audit, and find where accuracy goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.cli.accuracy import first_bad_text, print_layer_errors, print_rounds
from core.cli.models import AsJson
from core.cli.options import with_options
from core.cli.output import print_fields, print_json, print_notes, print_table, progress_bar
from core.cli.requests import PARITY_FAILED
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.onnxio.walk import name_nodes
from core.parity.inputs import parse_ranges
from core.precision.calibration import structure_digest
from core.precision.calibration_data import DataOptions, open_data
from core.precision.data_check import check_data
from core.precision.device import parse_capability, this_device
from core.precision.float16 import Keep
from core.precision.labelled import open_labelled
from core.precision.lower import calibrate, load_for, load_once
from core.precision.placement_check import check_placement
from core.precision.prepare import PrecisionOptions, PrecisionResult, prepare
from core.precision.quantize import GRIDS
from core.precision.ranges import UNCALIBRATED, load_ranges, save_ranges
from core.precision.remedy import Goal, Remedy, find_remedy
from core.precision.sensitivity import Sensitivity, layer_errors, make_trial
from core.precision.settings import LIGHT, ImageOptions
from core.precision.target import Device, QuantizedOutputs, advise, parse_target

group = typer.Typer(no_args_is_help=True, help="Precision: convert, calibrate, check, and find where accuracy goes.")

PLACEMENT_BROKEN = 1
CALIBRATION_SAMPLES = 500

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

    def options(self, samples: int) -> DataOptions:
        """How at most so many samples are read.

        Raises:
            InvalidRequest: A text cannot be read.
        """
        height, _, width = (self.image_size or "").partition("x")
        if self.image_size and not (height.isdigit() and width.isdigit()):
            raise InvalidRequest(f"Could not read the size {self.image_size!r}.", hint="Write 224x224.")
        if self.image_layout not in (None, "nhwc", "nchw"):
            raise InvalidRequest(f"No layout is called {self.image_layout!r}.", hint="There are nhwc and nchw.")
        images = ImageOptions(
            size=(int(height), int(width)) if self.image_size else None,
            layout=self.image_layout,
            scale=self.image_scale,
            mean=_numbers(self.image_mean),
            std=_numbers(self.image_std),
        )
        return DataOptions(
            limit=samples, images=images, expected=parse_ranges(self.expected or []), profile=parse_profile(self.shape or [])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweringChoices:
    """What stays in FP32, and how far quantized values reach."""

    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="A node, or pattern of nodes, to leave in FP32 (repeatable).")
    ] = None
    keep_op: Annotated[list[str] | None, typer.Option("--keep-op", help="An op type to leave in FP32 (repeatable).")] = None
    percentile: Percentile = None
    ranges: Annotated[Path | None, typer.Option("--ranges", help="From `calibrate`, or an earlier `convert`.")] = None


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
    samples: Limit = CALIBRATION_SAMPLES,
    keep_io: Annotated[bool, typer.Option(help="Leave inputs and outputs in FP32.")] = True,
    engine: Annotated[str, typer.Option("--engine", help="light or modelopt.")] = LIGHT,
    method: Annotated[str, typer.Option("--method", help="ModelOpt's calibration: max or entropy.")] = "max",
    json: AsJson = False,
) -> None:
    """Write a model in a precision."""
    options = PrecisionOptions(
        engine=engine,
        keep_nodes=tuple(lowering.keep or ()),
        keep_ops=tuple(lowering.keep_op or ()),
        keep_io_types=keep_io,
        percentile=lowering.percentile,
        ranges=lowering.ranges,
        method=method,
        data=chosen.options(samples),
    )
    if out.exists() and any(out.iterdir()):
        raise InvalidRequest(f"{out} is not empty.", hint="Name a new folder.")
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar(precision.value) as report:
        result = prepare(
            model, out, precision, target=parse_target(target), calibration=chosen.data, options=options, report=report
        )
    if json:
        print_json(result)
    else:
        _show_result(result, out)


def _show_result(result: PrecisionResult, out: Path) -> None:
    fields = [
        ("graph", out / result.entry),
        ("precision", f"{result.precision.value} for {result.target}, opset {result.opset}, by {result.engine}"),
        ("converted", f"{len(result.converted)} nodes"),
        ("kept in FP32", f"{len(result.kept)} nodes" if result.kept else ""),
        ("calibrated on", result.data),
        ("ranges", out / result.ranges if result.ranges else ""),
        ("builder flags", ", ".join(result.builder_flags)),
        ("took", f"{result.seconds:.1f} s"),
    ]
    print_fields(f"{result.precision.value.upper()}", fields)
    if result.kept:
        print_table("Kept in FP32", ["node", "why"], list(result.kept.items()))
    print_notes([*([result.stamp] if result.stamp else []), *(v.message for v in result.violations), *result.notes])


@group.command("calibrate")
@with_options
def calibrate_command(
    model: Model,
    out: Annotated[Path, typer.Argument(metavar="RANGES.json")],
    chosen: DataChoices,
    precision: Kind = Precision.INT8,
    target: For = "onnxruntime",
    samples: Limit = CALIBRATION_SAMPLES,
    percentile: Percentile = None,
    json: AsJson = False,
) -> None:
    """Take the ranges of a model's tensors on data, to use with any number of conversions."""
    options = chosen.options(samples)
    with progress_bar("calibrate") as report:
        loaded, notes = load_for(model, precision, report)
        opened = open_data(chosen.data, graph_signature(loaded), options)
        check = check_data(opened, loaded, options.expected)
        percentiles = () if percentile is None else (percentile,)
        found = calibrate(loaded, precision, parse_target(target), opened, report, percentiles=percentiles)
    save_ranges(found, out)
    if json:
        print_json(found)
        return
    rows = [[one.name, f"{one.low:.4g}", f"{one.high:.4g}", f"{one.mean:.4g}"] for one in check.inputs]
    print_table(opened.description, ["input", "min", "max", "mean"], rows, numbers=["min", "max", "mean"])
    print_fields(out.name, [("tensors", len(found.tensors)), ("samples", found.samples)])
    print_notes([*([] if found.calibrated else [UNCALIBRATED]), *notes, *check.warnings])


@group.command("check")
def check_command(model: Model, target: For = "tensorrt", json: AsJson = False) -> None:
    """Audit where a graph's Q/DQ nodes lie."""
    loaded = read_onnx(model)
    name_nodes(loaded)
    wanted = parse_target(target)
    stored = wanted.stores_weights or wanted.strongly_typed
    found = check_placement(loaded, stored_weights=stored, tensorrt=wanted.quantized_outputs is not QuantizedOutputs.ALL)
    if json:
        print_json(list(found))
    elif found:
        print_table(f"{len(found)} violations", ["rule", "node", "what"], [[v.rule.value, v.node, v.message] for v in found])
    else:
        pairs = sum(node.op_type == "DequantizeLinear" for node in loaded.graph.node)
        print_notes([f"{pairs} DQ nodes, no violation." if pairs else "The graph has no Q/DQ nodes."])
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
    many = chosen.options(CALIBRATION_SAMPLES)
    keep = Keep(ops=frozenset(lowering.keep_op or ()), nodes=tuple(lowering.keep or ()))
    percentile = lowering.percentile
    tried = replace(parse_target(target), emulated=True)
    with progress_bar("sensitivity") as report:
        load = load_once(model, precision, report)
        loaded = load()
        signature = graph_signature(loaded)
        compared = open_data(chosen.data, signature, chosen.options(samples))
        known = load_ranges(lowering.ranges, structure_digest(loaded)) if lowering.ranges else None
        if known is None and precision in GRIDS:
            data = open_data(calibration or chosen.data, signature, many)
            known = calibrate(loaded, precision, tried, data, report, percentiles=() if percentile is None else (percentile,))
        if max_rel is None and top1_drop is None:
            trial = make_trial(load, precision, ranges=known, keep=keep, percentile=percentile, target=tried)
            found: Sensitivity | Remedy = layer_errors(loaded, trial, compared, report)
        else:
            found = find_remedy(
                load,
                precision,
                Goal(max_rel=max_rel, top1_drop=top1_drop),
                compared,
                ranges=known,
                labelled=open_labelled(labelled, signature, many) if labelled else None,
                keep=keep,
                percentile=percentile,
                target=tried,
                report=report,
            )
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
    outputs = [
        (output.name, f"relative error {output.max_rel:.3g}, cosine {output.cosine:.5f}")
        for output in found.parity.outputs
        if output.max_rel is not None and output.cosine is not None
    ]
    lost = [(output.name, f"{output.non_finite} elements are not finite") for output in found.parity.outputs if output.non_finite]
    print_fields("Outputs", [*outputs, *lost, ("first bad layer", first_bad_text(found.first_bad))])


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
