"""Builds and measures every path on a GPU host, and writes the evidence; needs no network and no package registry.

    python -m bench.gpu.run --out OUT [--networks resnet50 bert] [--minutes 9] [--builders 4] [--savedmodels DIR]

Everything that is done stays done: run it again to go on. Latencies are taken one at a time with nothing else running;
builds run `--builders` at once, which their build times must be read with. Last come the checks of bench/gpu/checks.py, unless
`--rows` asks for some rows alone. OUT then holds tables.md, results/ (one JSON a step), graphs/ and inspector/ (the engines'
layers), checks/, logs/ and environment.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from bench.gpu.checks import checks
from bench.gpu.environment import record_environment
from bench.gpu.report import write_tables
from bench.gpu.rows import NETWORKS, Row, rows_of
from core.backends.base import backend_named

# TF-TRT was seen to take more than 900 s for EfficientNetB0 in INT8, beside other builds.
LONGEST_STEP_SECONDS = 1500.0
# A step that is not sure to end in time is not begun: what one of each kind was seen to take at most.
PREPARE_SECONDS, MEASURE_SECONDS = 90.0, 40.0
BUILD_SECONDS = {"tf-trt": 220.0, "tensorrt": 150.0, "tensorflow": 30.0}
# TensorFlow has no kernels for newer GPUs and compiles them at its first start; the driver's own limit is too small to keep them.
CUDA_CACHE_BYTES = 4 * 2**30


class Run:
    """Steps with one deadline; a result that is there is never made again."""

    def __init__(self, out: Path, arguments: argparse.Namespace) -> None:
        self.out = out
        self.ends: float = time.monotonic() + arguments.minutes * 60
        self.more = [f"--seconds={arguments.seconds}"] + (
            [f"--savedmodels={arguments.savedmodels}"] if arguments.savedmodels else []
        )
        self.tactic_sources: str = arguments.tactic_sources
        self.more += [f"--tactic-sources={self.tactic_sources}"] if self.tactic_sources else []
        self.builders = arguments.builders
        self.left_out: list[str] = []

    def done(self, kind: str, name: str) -> bool:
        path = self.out / "results" / f"{kind}-{name}.json"
        return path.exists() and "error" not in json.loads(path.read_text())

    def step(self, kind: str, name: str, usual_seconds: float, *, here: Path | None = None) -> None:
        """Runs one step to its end or to the deadline, its output in logs/."""
        if self.done(kind, name) and (here is None or here.exists()):
            return
        left = self._time_left(f"{kind} {name}", usual_seconds)
        if left is None:
            return
        (self.out / "logs").mkdir(parents=True, exist_ok=True)
        # Each row keeps kernel timings of its own, so that its first build is one without any.
        caches = {
            "ENGINEROOM_WORKSPACE": str(self.out / "caches" / name),
            "CUDA_CACHE_PATH": str(self.out / "caches" / "cuda"),
            "CUDA_CACHE_MAXSIZE": str(CUDA_CACHE_BYTES),
        }
        command = (sys.executable, "-m", "bench.gpu.step", kind, name, f"--out={self.out}", *self.more)
        _run(f"{kind:8s} {name:40s}", command, self.out / "logs" / f"{kind}-{name}.log", left, caches)

    def check(self, name: str, command: Sequence[str], usual_seconds: float) -> None:
        """Runs a command whose output is kept in checks/."""
        kept = self.out / "checks" / f"{name}.txt"
        if kept.exists():
            return
        left = self._time_left(f"check {name}", usual_seconds)
        if left is None:
            return
        kept.parent.mkdir(exist_ok=True)
        partial = kept.with_suffix(".partial")
        variables = {"ENGINEROOM_WORKSPACE": str(self.out / "caches" / "checks")}
        variables |= {"ENGINEROOM_TACTIC_SOURCES": self.tactic_sources} if self.tactic_sources else {}
        if _run(f"check    {name:40s}", command, partial, left, variables) == 0:
            partial.replace(kept)

    def _time_left(self, title: str, usual_seconds: float) -> float | None:
        """Seconds that a step may take; None, and the step noted as left out, where it is not sure to end in time."""
        left = self.ends - time.monotonic()
        if left < usual_seconds:
            self.left_out.append(title)
            return None
        return min(left, LONGEST_STEP_SECONDS)

    def prepare_and_build(self, rows: Sequence[Row]) -> None:
        """Builds several at once, each network's as soon as it is prepared; an engine that was lost is built again."""
        networks = list(dict.fromkeys(row.network for row in rows))
        with ThreadPoolExecutor(max_workers=max(len(networks), 1)) as preparing, ThreadPoolExecutor(self.builders) as building:
            for future in as_completed(preparing.submit(self._prepare, network) for network in networks):
                network = future.result()
                longest_first = sorted(rows, key=lambda row: (BUILD_SECONDS[row.backend], rows.index(row)), reverse=True)
                for row in (row for row in longest_first if row.network == network):
                    building.submit(self._build, row)

    def measure(self, row: Row) -> None:
        if self.done("build", row.id):
            self.step("measure", row.id, MEASURE_SECONDS)

    def _prepare(self, network: str) -> str:
        self.step("prepare", network, PREPARE_SECONDS, here=self.out / "inputs" / network / "reference.npz")
        return network

    def _build(self, row: Row) -> None:
        engine = self.out / "engines" / row.id / "engine.json"
        self.step("build", row.id, BUILD_SECONDS[row.backend], here=engine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--rows", default="", help="Only rows whose id holds this text.")
    parser.add_argument("--batch1", action="store_true", help="Leave out the rows of other batches.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--builders",
        type=int,
        default=1,
        help="Builds at once. They share the GPU: five were seen to take as long as one after the other.",
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="Of each latency measurement, at least.")
    parser.add_argument("--savedmodels", type=Path, help="Where the sample SavedModels lie; made where not given.")
    parser.add_argument("--tactic-sources", default="", help="TensorRT's option, for hosts without cuBLAS and cuDNN.")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    record_environment(out / "environment.json")
    run = Run(out, arguments)
    with _tables_at_the_end(out):
        rows = [row for network in arguments.networks for row in rows_of(network) if arguments.rows in row.id and _possible(row)]
        rows = [row for row in rows if not run.done("measure", row.id) and not (arguments.batch1 and row.suffix)]
        run.prepare_and_build(rows)
        for row in rows:
            run.measure(row)
    for check in () if arguments.rows else checks(out, run.tactic_sources):
        run.check(check.name, check.command, check.seconds)
    if run.left_out:
        print("Time is up; run the same command again for: " + ", ".join(run.left_out))
    return int(bool(run.left_out))


def _run(title: str, command: Sequence[str], output: Path, seconds: float, variables: Mapping[str, str]) -> int:
    """Runs a command for so long at most, and tells how it went; gives its exit code, -1 where time was up."""
    started = time.monotonic()
    with output.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **variables}, start_new_session=True)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # whatever it started must not disturb the next measurement
            process.wait()
            code = -1
    print(f"{title} {'ok' if code == 0 else f'FAILED ({code})'} {time.monotonic() - started:6.1f} s", flush=True)
    return code


@contextmanager
def _tables_at_the_end(out: Path) -> Iterator[None]:
    try:
        yield
    finally:
        print(write_tables(out))


def _possible(row: Row) -> bool:
    found = backend_named(row.backend).availability()
    if not found.available or "cuda" not in found.runs_on:
        print(f"left out {row.id}: {found.reason or 'it sees no GPU here'} {found.hint}", flush=True)
    return found.available and "cuda" in found.runs_on


if __name__ == "__main__":
    sys.exit(main())
