"""What GPU figures say against themselves."""

import sys
from types import SimpleNamespace

import pytest

from core.backends._tensorrt.nvml import clocks
from core.benchmark.gpu import (
    BatchPoint,
    ClockSample,
    GpuRun,
    clock_warnings,
    held_back_by,
    knee_of,
    run_warnings,
    sweep_batches,
)
from core.benchmark.statistics import latency


def run_of(compute, *, enqueue_ms=0.1, transfers=False, graph=False, h2d=None, d2h=None):
    figures = latency(compute)
    return GpuRun(
        transfers=transfers,
        graph=graph,
        compute=figures,
        latency=figures,
        enqueue_ms=enqueue_ms,
        throughput=1.0,
        h2d_ms=h2d,
        d2h_ms=d2h,
    )


def test_a_sound_run_has_nothing_against_it():
    assert run_warnings(run_of([1.0, 1.01] * 20)) == ()


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (run_of([1.0] * 20, enqueue_ms=0.9), "Enqueue-bound without transfers"),
        (run_of([1.0] * 20, transfers=True, h2d=0.6, d2h=0.4), "Transfer-bound with transfers"),
        (run_of([1.0, 1.2] * 20), "vary by"),
    ],
)
def test_each_weakness_is_told(run, words):
    (warning,) = run_warnings(run)
    assert words in warning


def test_a_graph_is_not_advised_where_there_is_one():
    assert "may help" in run_warnings(run_of([1.0] * 20, enqueue_ms=0.9))[0]
    assert "may help" not in run_warnings(run_of([1.0] * 20, enqueue_ms=0.9, graph=True))[0]


def test_clocks_that_moved_or_were_held_back_are_told():
    def sample(moment, mhz, *causes):
        return ClockSample(moment=moment, sm_mhz=mhz, memory_mhz=None, temperature_c=None, power_w=None, throttled_by=causes)

    assert clock_warnings([sample("before", 345), sample("during: a", 1980), sample("during: b", 1980)]) == ()
    held, moved = clock_warnings([sample("during: a", 1980), sample("during: b", 1500, "power cap")])
    assert "power cap" in held
    assert "1500 and 1980 MHz" in moved


def test_the_knee_is_where_larger_batches_stop_to_pay():
    def points(*rates):
        return [BatchPoint(batch=2**i, compute_ms=1.0, throughput=rate) for i, rate in enumerate(rates)]

    assert knee_of(points(100, 190, 300, 310, 320)) == 4
    assert knee_of(points(100, 200, 400)) == 4
    assert knee_of([]) is None


@pytest.mark.parametrize(
    ("low", "high", "batches"), [(1, 8, (1, 2, 4, 8)), (1, 6, (1, 2, 4, 6)), (4, 4, (4,)), (3, 5, (3, 5)), (1, 2, (1, 2))]
)
def test_sweeps_take_powers_of_two_and_both_ends(low, high, batches):
    assert sweep_batches(low, high) == batches


def test_nvmls_bits_are_words_and_idle_is_none():
    assert held_back_by(0x1) == ()
    assert held_back_by(0x4 | 0x20) == ("power cap", "thermal slowdown by software")


@pytest.mark.parametrize("broken", ["nvmlInit", "nvmlDeviceGetHandleByPciBusId"])
def test_figures_stand_without_clocks_where_nvml_fails(monkeypatch, broken):
    calls = []

    def answer(name):
        def call(*_):
            calls.append(name)
            if name == broken:
                raise RuntimeError("NVML refused")

        return call

    names = ("nvmlInit", "nvmlDeviceGetHandleByPciBusId", "nvmlShutdown")
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(**{name: answer(name) for name in names}))
    with clocks("0000:3b:00.0") as taken:
        taken.sample("before")
    assert taken.samples == []
    assert ("nvmlShutdown" in calls) is (broken != "nvmlInit")
