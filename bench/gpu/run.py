"""Builds and measures every path on a GPU host, and writes the evidence; needs no network and no package registry.

    python -m bench.gpu.run --out OUT [--networks resnet50 bert] [--minutes 9] [--builders 4] [--savedmodels DIR]

Everything that is done stays done: run it again to go on. Latencies are taken one at a time with nothing else running;
builds run `--builders` at once, which their build times must be read with. OUT then holds tables.md, results/ (one JSON a
step), graphs/ and inspector/ (the engines' layers), logs/ and environment.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.gpu.environment import environment
from bench.gpu.report import write_tables
from bench.gpu.rows import NETWORKS, Row, rows_of
from core.backends.base import backend_named

LONGEST_STEP_SECONDS = 420.0
# A step that is not sure to end in time is not begun: what a step of each kind was seen to take at most.
USUAL_SECONDS = {"prepare": 90.0, "build": 200.0, "measure": 40.0}


class Run:
    """Steps with one deadline; a result that is there is never made again."""

    def __init__(self, out: Path, arguments: argparse.Namespace) -> None:
        self.out = out
        self.ends = time.monotonic() + arguments.minutes * 60
        self.more = [f"--seconds={arguments.seconds}"] + (
            [f"--savedmodels={arguments.savedmodels}"] if arguments.savedmodels else []
        )
        self.more += [f"--tactic-sources={arguments.tactic_sources}"] if arguments.tactic_sources else []
        self.builders = arguments.builders
        self.left_out: list[str] = []

    def done(self, kind: str, name: str) -> bool:
        path = self.out / "results" / f"{kind}-{name}.json"
        return path.exists() and "error" not in json.loads(path.read_text())

    def step(self, kind: str, name: str, *, here: Path | None = None) -> None:
        """Runs one step to its end or to the deadline, its output in logs/."""
        if self.done(kind, name) and (here is None or here.exists()):
            return
        left = self.ends - time.monotonic()
        if left < USUAL_SECONDS[kind]:
            self.left_out.append(f"{kind} {name}")
            return
        (self.out / "logs").mkdir(parents=True, exist_ok=True)
        # Each row keeps kernel timings of its own, so that its first build is one without any.
        cache = {"ENGINEROOM_WORKSPACE": str(self.out / "caches" / name)}
        command = [sys.executable, "-m", "bench.gpu.step", kind, name, f"--out={self.out}", *self.more]
        started = time.monotonic()
        with (self.out / "logs" / f"{kind}-{name}.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **cache}, start_new_session=True)
            try:
                code = process.wait(timeout=min(left, LONGEST_STEP_SECONDS))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # whatever it started must not disturb the next measurement
                process.wait()
                code = -1
        print(f"{kind:8s} {name:40s} {'ok' if code == 0 else f'FAILED ({code})'} {time.monotonic() - started:6.1f} s", flush=True)

    def together(self, kind: str, names: Sequence[str]) -> None:
        with ThreadPoolExecutor(max_workers=self.builders) as pool:
            list(pool.map(lambda name: self.step(kind, name), names))

    def build(self, rows: Sequence[Row]) -> None:
        """Builds several at once; an engine that was lost is built again."""
        with ThreadPoolExecutor(max_workers=self.builders) as pool:
            list(pool.map(lambda row: self.step("build", row.id, here=self.out / "engines" / row.id / "engine.json"), rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--rows", default="", help="Only rows whose id holds this text.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--builders", type=int, default=1, help="Builds at once; on one GPU, six were seen to take longer than three."
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="Of each latency measurement, at least.")
    parser.add_argument("--savedmodels", type=Path, help="Where the sample SavedModels lie; made where not given.")
    parser.add_argument("--tactic-sources", default="", help="TensorRT's option, for hosts without cuBLAS and cuDNN.")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    told = environment(arguments.builders)
    (out / "environment.json").write_text(json.dumps(told, indent=1) + "\n")
    run = Run(out, arguments)
    with _tables_at_the_end(out, run):
        run.together("prepare", arguments.networks)
        rows = [row for network in arguments.networks for row in rows_of(network) if arguments.rows in row.id and _possible(row)]
        run.build([row for row in rows if not run.done("measure", row.id)])
        for row in rows:
            if run.done("build", row.id):
                run.step("measure", row.id)
    if run.left_out:
        print("Time is up; run the same command again for: " + ", ".join(run.left_out))
    return int(bool(run.left_out))


@contextmanager
def _tables_at_the_end(out: Path, run: Run) -> Iterator[None]:
    try:
        yield
    finally:
        print(write_tables(out, run.builders))


def _possible(row: Row) -> bool:
    found = backend_named(row.backend).availability()
    if not found.available or "cuda" not in found.devices:
        print(f"left out {row.id}: {found.reason or 'it sees no GPU here'} {found.hint}", flush=True)
    return found.available and "cuda" in found.devices


if __name__ == "__main__":
    sys.exit(main())
