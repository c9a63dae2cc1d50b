"""What makes a figure weak, told in words from the sentences that a measurement keeps."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.base.progress import silent
from core.benchmark import machine
from core.benchmark.gpu import ClockSample, GpuRun, GpuTimes, clock_warnings, run_warnings
from core.benchmark.gpu_state import gpu_sample
from core.benchmark.loop import measure, weaknesses
from core.benchmark.machine import Counters
from core.benchmark.measurement import Measurement, Protocol
from core.benchmark.statistics import latency
from core.benchmark.weakness import Weakness, weaknesses_in, words

STEADY = latency([1.0] * 40)
MEASURED = Measurement(
    latency=STEADY,
    throughput=1000.0,
    load_ms=1.0,
    first_ms=1.0,
    peak_memory_bytes=1,
    baseline_memory_bytes=1,
    shapes={},
    protocol=Protocol(),
)
# As releases before this one wrote them, word by word.
STORED = {
    "Only 12 runs fitted into 60 s, of 30 asked: the interval is wide. Give it more time.": Weakness.FEW,
    "3 runs back no 95 % interval: what is shown is their whole range.": Weakness.FEW,
    "Noisy: latencies scatter by 13% of their mean (more than 10%).": Weakness.NOISY,
    "Drifting: the second half ran 7% slower than the first; the machine may be heating up or getting busier.": Weakness.DRIFTING,
    "Other programs used 51% of the cores while measuring: measure again on a quiet machine.": Weakness.SHARED,
    "The virtual machine's host took 3.1% of the cores' time away while measuring.": Weakness.SHARED,
    "The processor was throttled 4 times while measuring, by its heat or by the container's limit.": Weakness.THROTTLED,
    "The clock fell from 3000 to 2000 MHz while measuring.": Weakness.CLOCK_FELL,
    "The GPU's clock was held back: power cap.": Weakness.GPU_HELD,
    "The GPU's clock moved between 1500 and 1980 MHz while measuring.": Weakness.GPU_MOVED,
    "Unsteady without transfers: compute times vary by 4.0% of their mean. Locked clocks would steady them.": Weakness.UNSTEADY,
}


@pytest.mark.parametrize(("sentence", "weakness"), STORED.items())
def test_each_sentence_that_was_ever_stored_has_its_word(sentence: str, weakness: Weakness) -> None:
    assert weaknesses_in([sentence]) == (weakness,)


def test_what_says_nothing_against_a_latency_is_no_weakness() -> None:
    told = (
        "Peak memory counts from the start of the process: this system does not let it be reset.",
        "The GPU's own times were not taken: Other programs used the GPU.",
        "Enqueue-bound without transfers: handing a run over takes 0.900 ms of the 1.000 ms it computes.",
        "Transfer-bound with transfers: copies take 1.000 ms, the computation 1.000 ms.",
    )
    assert weaknesses_in(told) == ()
    assert replace(MEASURED, warnings=told).weaknesses == ()
    assert words(MEASURED.weaknesses) == ""


def test_words_come_once_and_in_one_order() -> None:
    found = replace(MEASURED, warnings=tuple(reversed(STORED)))
    assert words(found.weaknesses) == (
        "noisy, drifting, few samples, shared cores, throttled, clock fell, GPU clock held back, GPU clock moved, "
        "unsteady on the GPU"
    )


def test_what_is_written_today_is_understood() -> None:
    rng = np.random.default_rng(0)
    scattered = rng.gamma(4.0, 0.25, 40) * np.linspace(1.0, 2.0, 40)
    few = np.array([1.0, 1.0, 1.0])
    assert weaknesses_in(weaknesses(latency(scattered), scattered, Protocol())) == (Weakness.NOISY, Weakness.DRIFTING)
    assert weaknesses_in(weaknesses(latency(few), few, Protocol())) == (Weakness.FEW,)
    still = np.ones(40)
    assert weaknesses_in(weaknesses(STEADY, still, Protocol())) == ()
    quiet = Counters(wall_seconds=0.0, own_seconds=0.0, busy_seconds=0.0, steal_seconds=0.0, throttled=0, frequency_mhz=3000.0)
    after = Counters(wall_seconds=10.0, own_seconds=1.0, busy_seconds=9.0, steal_seconds=3.0, throttled=2, frequency_mhz=2000.0)
    _, told = machine.disturbances(quiet, after, 2)
    assert len(told) == 4
    assert weaknesses_in(told) == (Weakness.SHARED, Weakness.THROTTLED, Weakness.CLOCK_FELL)


def sample(moment: str, mhz: int, *causes: str) -> ClockSample:
    return ClockSample(moment=moment, sm_mhz=mhz, memory_mhz=None, temperature_c=None, power_w=None, throttled_by=causes)


def test_a_gpus_clock_makes_the_latency_weak_and_its_own_scatter_does_not() -> None:
    uneven = latency([1.0, 1.2] * 20)
    run = GpuRun(transfers=False, graph=False, compute=uneven, latency=uneven, enqueue_ms=0.1, throughput=1.0)
    clocks = (sample("during: a", 1980), sample("during: b", 1500, "power cap"))
    gpu = GpuTimes(runs=(run,), warnings=(*run_warnings(run), *clock_warnings(clocks)))
    assert gpu.weaknesses == (Weakness.GPU_HELD, Weakness.GPU_MOVED, Weakness.UNSTEADY)
    measured = replace(MEASURED, gpu=gpu)
    assert measured.weaknesses == (Weakness.GPU_HELD, Weakness.GPU_MOVED)
    assert measured.weak_because == clock_warnings(clocks)


class Still:
    def run(self, inputs):
        return {}


@contextmanager
def still():
    yield Still()


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, field: str = "clocks_event_reasons.active") -> None:
    """A stand-in nvidia-smi that tells one of these lines after the other, and knows this name of the reasons alone."""
    (folder / "asked").write_text("0")
    script = folder / "nvidia-smi"
    asked = f"-i 0 --query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw,{field} --format=csv,noheader,nounits"
    told = "\n".join(f'{number}) echo "{line}";;' for number, line in enumerate(lines))
    script.write_text(
        f'#!/bin/sh\n[ "$*" = "{asked}" ] || exit 6\nread n < {folder}/asked\necho $((n + 1)) > {folder}/asked\n'
        f"case $n in\n{told}\nesac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


QUICK = Protocol(warmup_seconds=0, warmup_runs=0, min_seconds=0.01, min_samples=30)


@pytest.mark.parametrize("field", ["clocks_event_reasons.active", "clocks_throttle_reasons.active"])
def test_the_gpu_is_asked_before_and_after_any_runtimes_runs(field: str, tmp_path: Path, monkeypatch) -> None:
    told = ("1980, 2619, 41, 310.52, 0x0000000000000000", "1500, 2619, 78, 699.9, 0x0000000000000024")
    driver(tmp_path, monkeypatch, *told, field=field)
    found = measure(still, {}, QUICK, silent, sample_gpu=gpu_sample)
    assert {name: found.machine[name] for name in ("GPU clock", "GPU temperature", "GPU held back by")} == {
        "GPU clock": "1980 to 1500 MHz",
        "GPU temperature": "41 to 78 °C",
        "GPU held back by": "power cap, thermal slowdown by software",
    }
    assert {Weakness.GPU_HELD, Weakness.GPU_MOVED} <= set(found.weaknesses)


def test_a_steady_gpu_and_one_that_tells_nothing_say_nothing_against_a_figure(tmp_path: Path, monkeypatch) -> None:
    idle = "1980, 2619, 41, [N/A], 0x0000000000000001"
    driver(tmp_path, monkeypatch, idle, idle)
    found = measure(still, {}, QUICK, silent, sample_gpu=gpu_sample)
    assert found.machine["GPU clock"] == "1980 to 1980 MHz"
    assert not {Weakness.GPU_HELD, Weakness.GPU_MOVED} & set(found.weaknesses)
    driver(tmp_path, monkeypatch, "No devices were found")
    assert gpu_sample("now") is None
    (tmp_path / "nvidia-smi").unlink()
    assert gpu_sample("now") is None
