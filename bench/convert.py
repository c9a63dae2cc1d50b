"""What our conversion costs over bare tf2onnx: seconds and peak memory, on the same SavedModels in one run.

python -m bench.convert [digits mobilenetv2 resnet50 ...] [--rounds 5]

Both are whole processes, from Python's start to the file's end: `python -m tf2onnx.convert` at our opset, and our conversion,
which also names what is not supported and loads the result in ONNX Runtime. Each round takes both in a row, in an order that
turns. The ratio is that of the medians; the target for time is at most 1.10.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.costs import Cost, header, in_turns, row, run
from core.base.availability import installed_version
from core.base.progress import silent
from core.conversion._tf2onnx import OPSET
from core.conversion.onnx_from_savedmodel import CONVERSION
from core.models.model import Format, Source
from core.models.savedmodel import read_savedmodel
from sample_models.make_models import sample

DEFAULT = ("digits", "mobilenetv2", "resnet50")
VERSIONS = ("tf2onnx", "tensorflow-cpu", "onnx", "protobuf")


def ours(name: str, folder: Path) -> Cost:
    return run([sys.executable, "-m", "bench.convert", "--only-ours", str(folder), name])


def bare(name: str, folder: Path) -> Cost:
    target = str(folder / "bare.onnx")
    source = str(sample(name))
    return run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", source, "--opset", str(OPSET), "--output", target])


def convert(name: str, folder: Path) -> None:
    """Our side of it, in this process."""
    path = sample(name)
    CONVERSION.convert(Source(path=path, format=Format.SAVEDMODEL, signature=read_savedmodel(path).signatures[0]), folder, silent)


def main() -> None:
    parser = argparse.ArgumentParser(description="Our conversion over bare tf2onnx.")
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="SAMPLE", help=f"sample SavedModels ({' '.join(DEFAULT)})")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only-ours", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_ours:
        convert(arguments.names[0], arguments.only_ours)
        return
    print(header(", ".join(f"{name} {installed_version(name)}" for name in VERSIONS), arguments.rounds))
    for name in arguments.names:
        sample(name)
        with tempfile.TemporaryDirectory() as folder:
            sides = in_turns(partial(ours, name, Path(folder)), partial(bare, name, Path(folder)), arguments.rounds)
        print(row(name, *sides), flush=True)


if __name__ == "__main__":
    main()
