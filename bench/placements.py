"""What placements of Q and DQ, and other settings of reduced precision, do to the engines that TensorRT-RTX builds with no GPU.

python -m bench.placements [digits mobilenetv2 efficientnetb0 resnet50 bert] [--out docs/measurements/placements.md]

Each row is an engine built now, of the sample network at fixed shapes, calibrated once on a few samples: its layers, the kernels
that only bring tensors to a quantized type or back, the products and convolutions of quantized tensors, the bytes that layers
read and write between them and read of constants, by the builder's own list. No time is in it: nothing runs without a GPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from bench.networks import SEQUENCE, inputs_file, onnx_of
from core.analysis.standing import Standing, standing
from core.backends.base import BuildConfig, backend_named
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import silent
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.precision import float_plan, quantize_plan
from core.precision.calibration.labelled import labelled_accuracy, open_labelled
from core.precision.calibration.ranges import Ranges
from core.precision.calibration.samples import SampleSource, open_data
from core.precision.element_types import ELEMENT_TYPE
from core.precision.float_rewrite import convert
from core.precision.load import copy_of, load_for
from core.precision.lower import calibrate, lower
from core.precision.opset import fit_opset
from core.precision.quantize_rewrite import quantize
from core.precision.settings import DEFAULTS, Placement, PrecisionSettings
from core.precision.target import QuantizedOutputs, parse_target
from sample_models.make_models import sample

NETWORKS = ("digits", "mobilenetv2", "efficientnetb0", "resnet50", "bert")
BACKEND, TARGET = "tensorrt_rtx", "tensorrt-11.0"
SAMPLES = 8
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One way to put a precision in.

    Attributes:
        setting: What gives it to a build; empty for what no setting gives.
        outputs, between, one_scale: Where Q and DQ lie behind convolutions, what lies between them, and whether weights have one
            scale in all; None for the target's own.
    """

    label: str
    precision: Precision = Precision.INT8
    setting: str = ""
    settings: PrecisionSettings = DEFAULTS
    outputs: QuantizedOutputs | None = None
    between: Precision | None = None
    one_scale: bool = False

    @property
    def by_rules(self) -> bool:
        return self.outputs is None and self.between is None and not self.one_scale


_LABELS = {
    Placement.SCALES_BEHIND: "channels' scales behind convolutions",
    Placement.FLOAT_DEPTHWISE: "depthwise convolutions left out",
    Placement.HEAVY_ONLY: "only what has more weights than activations",
}


def _placed(*placements: Placement, precision: Precision = Precision.INT8) -> Tried:
    setting = f"placement={','.join(one.value for one in placements)}"
    return Tried(
        label=", ".join((*(_LABELS[one] for one in placements), *(() if precision is Precision.INT8 else ("FP8",)))),
        setting=setting,
        settings=DEFAULTS.placing(placements),
        precision=precision,
    )


TRIED = (
    Tried(label="FP32", precision=Precision.FP32),
    Tried(label="FP16", precision=Precision.FP16),
    Tried(
        label="FP16, inputs and outputs too",
        precision=Precision.FP16,
        setting="keep_io_types=false",
        settings=replace(DEFAULTS, keep_io_types=False),
    ),
    Tried(
        label="FP16, sums kept in FP32",
        precision=Precision.FP16,
        setting="keep_ops=Add",
        settings=replace(DEFAULTS, keep_ops=("Add",)),
    ),
    Tried(
        label="FP16, softmax kept in FP32",
        precision=Precision.FP16,
        setting="keep_ops=Softmax",
        settings=replace(DEFAULTS, keep_ops=("Softmax",)),
    ),
    Tried(label="INT8 by the rules"),
    Tried(label="nothing more behind depthwise convolutions", outputs=QuantizedOutputs.NONE),
    Tried(label="Q/DQ behind every convolution, both inputs of sums quantized", outputs=QuantizedOutputs.ALL),
    Tried(label="no shortcut quantized", setting="keep_ops=Add", settings=replace(DEFAULTS, keep_ops=("Add",))),
    Tried(label="the rest in FP32", between=Precision.FP32),
    Tried(label="inputs and outputs in FP16", setting="keep_io_types=false", settings=replace(DEFAULTS, keep_io_types=False)),
    Tried(label="one scale for all weights of a layer", one_scale=True),
    Tried(
        label="matrix products left out", setting="keep_ops=Gemm,MatMul", settings=replace(DEFAULTS, keep_ops=("Gemm", "MatMul"))
    ),
    _placed(Placement.SCALES_BEHIND),
    _placed(Placement.FLOAT_DEPTHWISE),
    _placed(Placement.HEAVY_ONLY),
    _placed(Placement.SCALES_BEHIND, Placement.FLOAT_DEPTHWISE),
    _placed(Placement.SCALES_BEHIND, Placement.HEAVY_ONLY),
    Tried(label="FP8 by the rules", precision=Precision.FP8),
    _placed(Placement.SCALES_BEHIND, precision=Precision.FP8),
    _placed(Placement.HEAVY_ONLY, precision=Precision.FP8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An engine; `top1` is of digits alone, of the graph that it was built from, run as it stands by ONNX Runtime."""

    tried: Tried
    standing: Standing | None = None
    top1: float | None = None
    error: str = ""


def rows(network: str, folder: Path) -> Iterator[Row]:
    source = onnx_of(network)
    model, _ = load_for(source, Precision.INT8)
    data = SampleSource() if network == "digits" else SampleSource(path=inputs_file(network, SAMPLES, 0, folder))
    opened = open_data(data, graph_signature(model), DEFAULTS)
    ranges = calibrate(model, Precision.INT8, parse_target(TARGET), opened, silent)
    labelled = open_labelled(sample("digits_test"), graph_signature(model)) if network == "digits" else None
    for tried in TRIED:
        try:
            made = made_by(copy_of(model), ranges, tried)
            fed = tried.settings.keep_io_types  # the test set is in FP32
            top1 = labelled_accuracy(made, labelled, exact=True).top1 if labelled and fed else None
            with tempfile.TemporaryDirectory(dir=folder) as place:
                row = Row(tried=tried, standing=built(made, tried.precision, Path(place)), top1=top1)
        except EngineRoomError as error:
            row = Row(tried=tried, error=error.message)
        print(line(row), file=sys.stderr, flush=True)
        yield row


def made_by(model: onnx.ModelProto, ranges: Ranges, tried: Tried) -> onnx.ModelProto:
    """The graph that is built; the model may be changed."""
    target = parse_target(TARGET)
    if not tried.precision.in_graph:
        return model
    if tried.by_rules:
        return lower(model, tried.precision, target, tried.settings, ranges=ranges)[0]
    model = fit_opset(model, tried.precision, target)
    decided = quantize_plan.plan(model, tried.settings, outputs=tried.outputs or target.quantized_outputs)
    if tried.one_scale:
        decided = replace(decided, weights={name: replace(one, axis=None) for name, one in decided.weights.items()})
    quantize(model, decided, ranges, tried.precision)
    between = tried.between or target.rest
    if between in ELEMENT_TYPE:
        convert(model, float_plan.plan(model, ELEMENT_TYPE[between], tried.settings, ranges=ranges.bounds))
    return model


def built(model: onnx.ModelProto, precision: Precision, folder: Path) -> Standing:
    path = folder / "model.onnx"
    save_onnx(model, path)
    signature = graph_signature(read_onnx(path, weights=False))
    lengths = {symbol: 1 if symbol == "batch" else SEQUENCE for symbol in signature.symbols}
    profile = ShapeProfile(axes={symbol: AxisRange(min=n, opt=n, max=n) for symbol, n in lengths.items()})
    backend = backend_named(BACKEND)
    source = Source(path=path, format=Format.ONNX, signature=signature)
    engine = backend.build(source, BuildConfig(precision=precision, profile=profile), folder, silent)
    return standing(backend.describe(engine), engine.size_bytes)


def line(row: Row) -> str:
    tried = row.tried
    head = f"| {tried.label} | {f'`{tried.setting}`' if tried.setting else ''} |"
    one = row.standing
    if one is None:
        return f"{head} {row.error} | | | | | | |"
    cells = [
        one.layers,
        one.quantizing,
        one.quantized,
        "not told" if one.moved.known is None else f"{one.moved.known / MB:.2f}",
        "not told" if one.weight_bytes is None else f"{one.weight_bytes / MB:.2f}",
        "–" if one.engine_bytes is None else f"{one.engine_bytes / MB:.1f}",
        "" if row.top1 is None else f"{row.top1:.1%}",
    ]
    return f"{head} {' | '.join(map(str, cells))} |"


def report(found: dict[str, list[Row]], version: str) -> str:
    lines = [
        "# Placements of Q and DQ, and what they do to TensorRT-RTX's engines",
        "",
        f"`python -m bench.placements`: TensorRT-RTX {version} with no GPU, by the builder's own list of layers; the",
        f"sample networks at batch 1 (BERT at length {SEQUENCE}), ranges from {SAMPLES} samples, for digits from random",
        "ones. Sizes in MB. Nothing ran, so nothing here says what is faster; on a GPU kernels are compiled anew, and",
        "more may be fused. A tensor counts once for each layer that writes or reads it. Top-1 is of the graph on digits'",
        "test set, run by ONNX Runtime as it stands; the other networks have random weights. [What the tables",
        "say](../precision.md#placements-tried).",
        "",
    ]
    for network, of_it in found.items():
        lines += [
            f"## {network}",
            "",
            "| tried | `--lower` | layers | kernels that only quantize | layers that compute quantized | moved between layers "
            "| constants read | engine | top-1 |",
            "|---|---|---|---|---|---|---|---|---|",
            *map(line, of_it),
            "",
        ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Tries placements of Q and DQ.")
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    here = backend_named(BACKEND).availability()
    if not here.available:
        print(f"{here.reason} {here.hint}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="engineroom-placements-") as folder:
        found = {network: list(rows(network, Path(folder))) for network in chosen.networks}
    text = report(found, here.version or "")
    print(text)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
