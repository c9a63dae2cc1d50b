"""What our builds cost over the bare runtimes: seconds and peak memory, from the same ONNX files in one run.

python -m bench.build [mobilenetv2 resnet50 ...] [--rounds 5]

Each build is a process of its own that leaves the same engine on disk: ONNX Runtime its optimised model, OpenVINO its IR after
narrowing the dynamic axes to the profile's ranges and compiling. What counts is the build itself; imports, about the same on
both sides, do not.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.costs import Cost, header, in_turns, row, run
from bench.networks import onnx_of
from core.base.availability import installed_version
from core.base.profile import Point, ShapeProfile
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx

DEFAULT = ("mobilenetv2", "resnet50", "bert")
BACKENDS = ("onnxruntime", "openvino")

BARE = {
    "onnxruntime": """
import sys, time, onnxruntime
start = time.perf_counter()
options = onnxruntime.SessionOptions()
options.optimized_model_filepath = sys.argv[2] + "/bare.onnx"
onnxruntime.InferenceSession(sys.argv[1], options)
print("seconds:", time.perf_counter() - start)
""",
    "openvino": """
import json, sys, time, openvino
start = time.perf_counter()
core = openvino.Core()
model = core.read_model(sys.argv[1])
ranges = json.loads(sys.argv[3]).items()
model.reshape({name: openvino.PartialShape([openvino.Dimension(*axis) for axis in axes]) for name, axes in ranges})
core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
openvino.save_model(model, sys.argv[2] + "/bare.xml", compress_to_fp16=False)
print("seconds:", time.perf_counter() - start)
""",
}


def ours(backend: str, source: Path) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        return run([sys.executable, "-m", "bench.build", "--only", backend, str(source), folder])


def bare(backend: str, source: Path) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        return run([sys.executable, "-c", BARE[backend], str(source), folder, json.dumps(ranges(source))])


def ranges(source: Path) -> dict[str, list[tuple[int, int]]]:
    """Least and greatest length of every axis of every input, as a build without a profile takes them."""
    profile = ShapeProfile()
    return {
        spec.name: list(zip(profile.shape(spec, Point.MIN), profile.shape(spec, Point.MAX), strict=True))
        for spec in graph_signature(read_onnx(source, weights=False)).inputs
    }


def build(backend: str, source: Path, folder: Path) -> None:
    """Our side of it, in this process."""
    importlib.import_module(backend)
    from core.backends.base import BuildConfig, backend_named
    from core.base.progress import silent
    from core.models.model import Format, Source

    signature = graph_signature(read_onnx(source, weights=False))
    asked = Source(path=source, format=Format.ONNX, signature=signature)
    chosen = backend_named(backend)
    start = time.perf_counter()
    chosen.build(asked, BuildConfig(), folder, silent)
    print("seconds:", time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description="Our builds over the bare runtimes'.")
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="SAMPLE", help=f"sample models ({' '.join(DEFAULT)})")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs=3, metavar=("BACKEND", "ONNX", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        backend, source, folder = arguments.only
        build(backend, Path(source), Path(folder))
        return
    print(header(", ".join(f"{name} {installed_version(name)}" for name in BACKENDS), arguments.rounds))
    for name in arguments.names:
        source = onnx_of(name)
        for backend in BACKENDS:
            sides = in_turns(partial(ours, backend, source), partial(bare, backend, source), arguments.rounds)
            print(row(f"{name} {backend}", *sides), flush=True)


if __name__ == "__main__":
    main()
