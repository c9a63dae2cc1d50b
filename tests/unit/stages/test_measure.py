"""What the measure stage adds from backends that time on the GPU itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.backends.base import all_backends
from core.base.errors import Cancelled, RunFailed
from core.base.progress import silent
from core.base.serialization import from_data, to_data
from core.benchmark.gpu import GpuRun, GpuTimes
from core.benchmark.measurement import Measurement, Protocol
from core.benchmark.statistics import latency
from core.stages.measure import TimesOnGpu, with_gpu_times

FIGURES = latency([1.0, 1.1, 1.2] * 10)
MEASURED = Measurement(
    latency=FIGURES,
    throughput=900.0,
    load_ms=1.0,
    first_ms=1.0,
    peak_memory_bytes=1,
    baseline_memory_bytes=1,
    shapes={},
    protocol=Protocol(min_seconds=3.0),
)
TIMES = GpuTimes(
    runs=(GpuRun(transfers=False, graph=True, compute=FIGURES, latency=FIGURES, enqueue_ms=0.1, throughput=1.0),),
    host_to_host={"plain": FIGURES},
)


class Timer:
    """Times on the GPU, or fails to."""

    def __init__(self, error=None):
        self.error = error
        self.asked = None

    def gpu_times(self, engine, inputs, protocol, report):
        self.asked = protocol
        if self.error:
            raise self.error
        return TIMES


def test_the_gpus_own_times_are_kept_and_read_back():
    timer = Timer()
    measured = with_gpu_times(MEASURED, timer, None, {}, silent)
    assert measured == replace(MEASURED, gpu=TIMES)
    assert from_data(Measurement, to_data(measured)) == measured
    assert timer.asked.min_seconds < MEASURED.protocol.min_seconds


def test_a_latency_stands_without_them():
    measured = with_gpu_times(MEASURED, Timer(RunFailed("The GPU's memory is full.")), None, {}, silent)
    assert measured.gpu is None
    assert measured.latency == FIGURES
    assert "memory is full" in measured.warnings[-1]


def test_a_cancelled_measurement_is_cancelled():
    with pytest.raises(Cancelled):
        with_gpu_times(MEASURED, Timer(Cancelled("Stopped.")), None, {}, silent)


def test_tensorrt_and_its_sibling_alone_time_on_the_gpu():
    assert [name for name, backend in all_backends().items() if isinstance(backend, TimesOnGpu)] == ["tensorrt", "tensorrt_rtx"]
