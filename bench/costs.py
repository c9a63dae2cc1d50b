"""Seconds and peak memory of whole processes, two sides taken in turns and set in a row of a table."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.benchmark.machine import describe_machine

ROOT = Path(__file__).parents[1]
TARGET = 1.10
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    seconds: float
    peak_bytes: int


def run(command: list[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Runs a process to its end; where it prints `seconds: N`, those count, else the process's own.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        whole = {**os.environ, **QUIET, **(environment or {})}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=whole)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said[-4000:]}")
    told = re.findall(r"^seconds: ([0-9.]+)$", said, re.MULTILINE)
    return Cost(seconds=float(told[-1]) if told else seconds, peak_bytes=usage.ru_maxrss * 1024)


def in_turns(ours: Callable[[], Cost], bare: Callable[[], Cost], rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Both sides in every round, in an order that turns."""
    found: tuple[list[Cost], list[Cost]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            found[side].append((ours, bare)[side]())
    return found


def header(versions: str, rounds: int) -> str:
    machine = ", ".join(f"{key} {value}" for key, value in describe_machine().items())
    return (
        f"{machine}\n{versions}\nmedians of {rounds} rounds, half the range beside; target for time {TARGET:.2f}\n\n"
        f"{'':28}{'ours s':>13}{'bare s':>14}{'ratio':>8}{'':8}{'ours GB':>9}{'bare GB':>9}{'ratio':>8}"
    )


def row(name: str, ours: list[Cost], bare: list[Cost]) -> str:
    """Medians of both sides, half the range beside, and the ratio of the medians."""
    text = f"{name:28}"
    medians = []
    for costs, width in ((ours, 8), (bare, 9)):
        seconds = [cost.seconds for cost in costs]
        medians.append(statistics.median(seconds))
        text += f"{medians[-1]:{width}.2f} ±{(max(seconds) - min(seconds)) / 2:4.2f}"
    ratio = medians[0] / medians[1]
    memory = [statistics.median(cost.peak_bytes for cost in costs) / 1e9 for costs in (ours, bare)]
    over = "" if ratio <= TARGET else "(over)"
    return f"{text}{ratio:8.2f} {over:7}{memory[0]:9.2f}{memory[1]:9.2f}{memory[0] / memory[1]:8.2f}"
