"""INT8 with more and less quantized behind depthwise convolutions, on TensorRT.

    python -m bench.gpu.depthwise OUT/inputs/efficientnetb0 [--tactic-sources NAMES]

The folder is what `bench.gpu.run --out OUT` prepares for a network: its FP32 graph, its inputs and its calibration data.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from onnx import NodeProto

from bench.gpu.step import LAYER_RUNS, accounting, weighted
from core.backends.base import BuildConfig
from core.backends.tensorrt import BACKEND
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import silent
from core.benchmark.measurement import Protocol
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.precision import quantize_plan
from core.precision.calibration.samples import SampleSource
from core.precision.depthwise import Readers, is_depthwise, quantized_behind
from core.precision.prepare import prepare
from core.precision.settings import PrecisionSettings
from core.precision.target import parse_target
from core.precision.view import GraphView

Behind = Callable[[NodeProto, GraphView], Readers]
PLACEMENTS: dict[str, Behind] = {
    "inputs alone": lambda node, view: {},
    "the output behind the activation too": lambda node, view: dict(list(quantized_behind(node, view).items())[:1]),
    "and the gate that scales it": quantized_behind,
}
LEFT_OUT = "depthwise ones left out"
PROTOCOL = Protocol(warmup_seconds=0.3, min_seconds=1.0, min_samples=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--tactic-sources", default="", help="TensorRT's option, for hosts without cuBLAS and cuDNN.")
    arguments = parser.parse_args()
    network: Path = arguments.network
    options = {"tactic_sources": arguments.tactic_sources}
    graph = network / "onnx" / "fp32" / "model.onnx"
    feed = {name: array[:1] for name, array in np.load(network / "inputs.npz").items()}
    print(f"TensorRT {BACKEND.availability().version}\n")
    print("| quantized | convolutions | layers | moving data | GPU compute by CUDA graph, ms |\n|---|---|---|---|---|")
    for name in (*PLACEMENTS, LEFT_OUT):
        keep = _depthwise(graph) if name == LEFT_OUT else ()
        placed = patch.object(quantize_plan, "quantized_behind", PLACEMENTS.get(name, quantized_behind))
        with placed, tempfile.TemporaryDirectory() as folder:
            row = _built(graph, network / "calibration.npz", feed, Path(folder), keep, options)
            print(f"| {name} | {row} |", flush=True)


def _depthwise(graph: Path) -> tuple[str, ...]:
    view = GraphView(read_onnx(graph))
    return tuple(node.name for node in view.model.graph.node if is_depthwise(node, view))


def _built(
    graph: Path, calibration: Path, feed: dict[str, Any], folder: Path, keep: tuple[str, ...], options: dict[str, Any]
) -> str:
    """One row: the INT8 engine's figures."""
    target = parse_target(f"tensorrt-{BACKEND.availability().version}")
    settings = PrecisionSettings(keep_nodes=keep)
    made = prepare(graph, folder, Precision.INT8, target=target, data=SampleSource(path=calibration), settings=settings)
    signature = graph_signature(read_onnx(folder / made.entry, weights=False))
    source = Source(path=folder / made.entry, format=Format.ONNX, signature=signature)
    profile = parse_profile(["batch=1"]).complete(signature)
    config = BuildConfig(precision=Precision.INT8, profile=profile, options=options, device="cuda")
    (folder / "engine").mkdir()
    engine = BACKEND.build(source, config, folder / "engine", silent)
    timed = BACKEND.describe(engine).with_times(BACKEND.layer_times(engine, feed, LAYER_RUNS))
    by_graph = next(run for run in BACKEND.gpu_times(engine, feed, PROTOCOL, silent).runs if run.graph and not run.transfers)
    counts = ", ".join(f"{count} {precision}" for precision, count in weighted(timed)["Conv"].items())
    share = accounting(timed)["reformat_share"]
    return f"{counts} | {len(timed.layers)} | {share:.0%} | {by_graph.compute.median_ms:.3f}"


if __name__ == "__main__":
    main()
