"""What TensorRT before version 10 makes of a sum that FP16 cannot hold, when nothing tells it to compute in FP32.

    python -m bench.gpu.weak_typing [--tactic-sources NAMES]

The overflowing model of bench/overflow.py in INT8, built twice: from the graph as `prepare` writes it, which marks the nodes to
hold in FP32, and from the same graph without that mark.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bench.overflow import RANGE, overflowing_model
from core.backends.base import BuildConfig, backend_named
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import silent
from core.base.tensors import Array
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.precision.calibration.samples import SampleSource
from core.precision.prepare import prepare
from core.precision.record import ENTRY
from core.precision.requested import FP32_NODES
from core.precision.runner import Runner
from core.precision.target import parse_target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tactic-sources", default="", help="TensorRT's option, for hosts without cuBLAS and cuDNN.")
    options = {"tactic_sources": parser.parse_args().tactic_sources}
    backend = backend_named("tensorrt")
    version = backend.availability().version
    inputs: dict[str, Array] = {"x": np.random.default_rng(0).uniform(*RANGE["x"], (2, 32)).astype(np.float32)}
    truth = Runner(overflowing_model(), ["y"]).run(inputs)[0]
    print(f"TensorRT {version}, INT8\n\n| graph | zeros | largest error over the largest magnitude | layers |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        save_onnx(overflowing_model(), folder / "source.onnx")
        for name in ("marked", "unmarked", "marked-engine", "unmarked-engine"):
            (folder / name).mkdir()
        target = parse_target(f"tensorrt-{version}")
        prepare(folder / "source.onnx", folder / "marked", Precision.INT8, target=target, data=SampleSource(expected=RANGE))
        save_onnx(_without_mark(read_onnx(folder / "marked" / ENTRY)), folder / "unmarked" / ENTRY)
        for name in ("unmarked", "marked"):
            found, layers = _run(backend, folder / name / ENTRY, folder / f"{name}-engine", inputs, options)
            error = float(np.abs(found - truth).max() / np.abs(truth).max())
            print(f"| {name} | {np.mean(found == 0):.0%} | {error:.2g} | {layers} |")


def _without_mark(model: onnx.ModelProto) -> onnx.ModelProto:
    kept = [prop for prop in model.metadata_props if prop.key != FP32_NODES]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model


def _run(backend: Any, graph: Path, folder: Path, inputs: dict[str, Any], options: dict[str, Any]) -> tuple[Any, str]:
    """The engine's output, and its layers that compute with their precisions."""
    source = Source(path=graph, format=Format.ONNX, signature=graph_signature(read_onnx(graph)))
    profile = parse_profile(["batch=2"]).complete(source.signature)
    config = BuildConfig(precision=Precision.INT8, profile=profile, options=options, device="cuda")
    engine = backend.build(source, config, folder, silent)
    with backend.open(engine) as session:
        found = np.array(session.run(inputs)["y"])
    layers = [f"{layer.name} {layer.precision}" for layer in backend.describe(engine).layers if layer.precision]
    return found, ", ".join(layers)


if __name__ == "__main__":
    main()
