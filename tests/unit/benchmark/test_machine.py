"""What disturbs a measurement is told from two counts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from core.benchmark import machine
from core.benchmark.machine import Counters

QUIET = Counters(wall_seconds=100.0, own_seconds=10.0, busy_seconds=50.0, steal_seconds=1.0, throttled=3, frequency_mhz=3000.0)


def after(**changes: float | None) -> Counters:
    """Ten seconds of two cores later, with 8 s of work of our own and none of others'."""
    same = {"wall_seconds": 110.0, "own_seconds": 18.0, "busy_seconds": 58.0}
    return replace(QUIET, **{**same, **changes})


def test_a_quiet_machine_gives_no_warning() -> None:
    facts, warnings = machine.disturbances(QUIET, after(), 2)
    assert warnings == ()
    assert facts["other load"] == "0% of the cores"
    assert facts["steal"] == "0.0% of the cores"
    assert "throttled" not in facts


def test_others_work_is_what_is_busy_and_not_ours() -> None:
    facts, warnings = machine.disturbances(QUIET, after(busy_seconds=64.0), 2)
    assert facts["other load"] == "30% of the cores"
    assert len(warnings) == 1
    assert "Other programs used 30%" in warnings[0]


def test_steal_throttling_and_a_falling_clock_are_told() -> None:
    _, warnings = machine.disturbances(QUIET, after(steal_seconds=2.0, throttled=5, frequency_mhz=2000.0), 2)
    text = " ".join(warnings)
    assert "5.0% of the cores' time" in text
    assert "throttled 2 times" in text
    assert "from 3000 to 2000 MHz" in text


def test_a_system_that_tells_nothing_gives_no_facts() -> None:
    blind = replace(QUIET, busy_seconds=None, steal_seconds=None, frequency_mhz=None)
    assert machine.disturbances(blind, blind, 2) == ({}, ())


def test_the_machine_is_described_in_words() -> None:
    facts = machine.describe_machine()
    assert facts["processor"]
    assert facts["cores"].startswith(f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}")
    assert facts["memory"].endswith("GiB")
    assert all(isinstance(value, str) for value in facts.values())


def test_limits_are_positive_where_there_are_any() -> None:
    assert machine.memory_limit() > 2**20
    quota = machine.cpu_quota()
    assert quota is None or quota > 0


def test_the_counters_see_our_own_work() -> None:
    before = machine.counters()
    total = 0.0
    while machine.counters().own_seconds - before.own_seconds < 0.3:
        total += float(np.sqrt(np.arange(1000.0)).sum())
    now = machine.counters()
    assert now.busy_seconds is not None
    assert before.busy_seconds is not None
    assert now.busy_seconds - before.busy_seconds >= 0.2  # the kernel counts in ticks of 10 ms


PEAK = """
import numpy as np
from core.benchmark import memory
print(memory.reset_peak())
before = memory.resident_bytes()
block = np.ones(8 * 2**20)
size = block.nbytes
del block
peak = memory.peak_bytes()
memory.reset_peak()
print((peak - before) / size, (peak - memory.peak_bytes()) / size)
"""


def test_the_peak_sees_memory_that_is_gone_again() -> None:
    command = [sys.executable, "-c", PEAK]  # a process of its own: in a large one the block may take pages that are there
    can_reset, shares = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    if can_reset != "True":
        pytest.skip("this system does not let the peak be reset")
    seen, gone = (float(share) for share in shares.split())
    assert seen > 0.9
    assert gone > 0.5


@pytest.mark.parametrize(
    ("told", "capability"), [("8.9", "8.9"), ("12.0", "12.0"), ("[N/A]", None), ("", None), ("Field is not valid", None)]
)
def test_the_driver_tells_the_compute_capability(told: str, capability: str | None, tmp_path, monkeypatch) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text(f'#!/bin/sh\ncase "$*" in "-i 1 --query-gpu=compute_cap "*) echo "{told}";; *) exit 6;; esac\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert machine.compute_capability("1") == capability
    assert machine.compute_capability("0") is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert machine.compute_capability() == capability
