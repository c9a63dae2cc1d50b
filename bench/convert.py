"""What our conversion costs over bare tf2onnx: seconds and peak memory, on the same SavedModels in one run.

python -m bench.convert [digits mobilenetv2 resnet50 ...] [--rounds 5]

Both are whole processes, from Python's start to the file's end: `python -m tf2onnx.convert` at our opset, and our conversion,
which also names what is not supported and loads the result in ONNX Runtime. Each round takes both in a row, in an order that
turns. The ratio is that of the medians; the target for time is at most 1.10.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from core.availability import installed_version
from core.benchmark.machine import describe_machine
from sample_models.make_models import sample

ROOT = Path(__file__).parents[1]
TARGET = 1.10
DEFAULT = ("digits", "mobilenetv2", "resnet50")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    seconds: float
    peak_bytes: int


def run(command: list[str]) -> Cost:
    """Runs a process to its end.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **quiet})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{log.read()[-4000:].decode(errors='replace')}")
    return Cost(seconds=seconds, peak_bytes=usage.ru_maxrss * 1024)


def ours(name: str, folder: Path) -> Cost:
    return run([sys.executable, "-m", "bench.convert", "--only-ours", str(folder), name])


def bare(name: str, folder: Path) -> Cost:
    from core.conversion._tf2onnx import OPSET

    target = str(folder / "bare.onnx")
    source = str(sample(name))
    return run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", source, "--opset", str(OPSET), "--output", target])


def convert(name: str, folder: Path) -> None:
    """Our side of it, in this process."""
    from core.conversion.onnx_from_savedmodel import CONVERSION
    from core.models.model import Format, Source
    from core.models.savedmodel import read_savedmodel
    from core.progress import silent

    path = sample(name)
    CONVERSION.convert(Source(path=path, format=Format.SAVEDMODEL, signature=read_savedmodel(path).signatures[0]), folder, silent)


def compare(name: str, rounds: int) -> str:
    """A row of the table."""
    sample(name)
    costs: dict[str, list[Cost]] = {"ours": [], "bare": []}
    sides = {"ours": ours, "bare": bare}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for side in sorted(sides, reverse=bool(number % 2)):
                costs[side].append(sides[side](name, Path(folder)))
    seconds = {side: statistics.median(cost.seconds for cost in found) for side, found in costs.items()}
    memory = {side: statistics.median(cost.peak_bytes for cost in found) / 1e9 for side, found in costs.items()}
    spread = {side: max(c.seconds for c in found) - min(c.seconds for c in found) for side, found in costs.items()}
    ratio = seconds["ours"] / seconds["bare"]
    return (
        f"{name:16}"
        f"{seconds['ours']:8.1f} ±{spread['ours'] / 2:3.1f}{seconds['bare']:9.1f} ±{spread['bare'] / 2:3.1f}"
        f"{ratio:8.2f} {'' if ratio <= TARGET else '(over)':7}"
        f"{memory['ours']:9.2f}{memory['bare']:9.2f}{memory['ours'] / memory['bare']:8.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Our conversion over bare tf2onnx.")
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="SAMPLE", help=f"sample SavedModels ({' '.join(DEFAULT)})")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only-ours", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_ours:
        convert(arguments.names[0], arguments.only_ours)
        return
    machine = ", ".join(f"{key} {value}" for key, value in describe_machine().items())
    versions = ", ".join(f"{name} {installed_version(name)}" for name in ("tf2onnx", "tensorflow-cpu", "onnx", "protobuf"))
    print(f"{machine}\n{versions}\nmedians of {arguments.rounds} rounds, half the range beside; target for time {TARGET:.2f}\n")
    print(f"{'model':16}{'ours s':>13}{'bare s':>14}{'ratio':>8}{'':8}{'ours GB':>9}{'bare GB':>9}{'ratio':>8}")
    for name in arguments.names:
        print(compare(name, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
