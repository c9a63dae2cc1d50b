"""The measuring loop: what it times, when it stops, what it warns of."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from core.base.errors import Cancelled, InvalidRequest
from core.base.progress import Progress, silent
from core.base.serialization import from_data, to_data
from core.base.tensors import Array, Session, Tensors
from core.benchmark.loop import measure, weaknesses
from core.benchmark.measurement import Measurement, Protocol
from core.benchmark.statistics import latency

QUICK = Protocol(warmup_seconds=0.02, warmup_runs=2, min_seconds=0.1, min_samples=12, max_seconds=5.0)
INPUTS = {"x": np.zeros((4, 3), dtype=np.float32)}


class Sleeper:
    """A session that takes a known time and notes how it was called."""

    def __init__(self, seconds: float = 0.002, first: float = 0.0) -> None:
        self.seconds = seconds
        self.first = first
        self.calls = 0
        self.collecting: list[bool] = []
        self.open = False
        self.feeds: list[Tensors] = []

    def run(self, inputs: Tensors) -> dict[str, Array]:
        time.sleep(self.seconds if self.calls else self.seconds + self.first)
        self.calls += 1
        self.collecting.append(gc.isenabled())
        self.feeds.append(inputs)
        return {}

    @contextmanager
    def opened(self, load: float = 0.0) -> Iterator[Session]:
        time.sleep(load)
        self.open = True
        yield self
        self.open = False


def test_load_first_inference_and_steady_state_are_told_apart() -> None:
    session = Sleeper(seconds=0.002, first=0.05)
    found = measure(lambda: session.opened(load=0.03), INPUTS, QUICK, silent, batch=4)
    assert found.load_ms >= 30
    assert found.first_ms >= 50
    assert 2 <= found.latency.min_ms <= found.latency.median_ms < 50
    assert 0 < found.throughput <= 4000 / found.latency.mean_ms
    assert found.shapes == {"x": (4, 3)}
    assert not session.open


def test_throughput_is_counted_over_the_time_of_all_runs_the_slow_ones_too() -> None:
    class Uneven(Sleeper):
        def run(self, inputs: Tensors) -> dict[str, Array]:
            found = super().run(inputs)
            time.sleep(0.1 if len(self.feeds) % 3 == 0 else 0.0)  # far more than a busy machine adds
            return found

    session = Uneven(seconds=0.001)
    found = measure(session.opened, INPUTS, QUICK, silent)
    assert found.latency.mean_ms > 2 * found.latency.median_ms
    assert found.throughput == pytest.approx(1000 / found.latency.mean_ms, rel=0.2)


def test_runs_are_counted_and_time_is_met() -> None:
    session = Sleeper(seconds=0.001)
    started = time.perf_counter()
    found = measure(session.opened, INPUTS, QUICK, silent)
    assert time.perf_counter() - started >= 0.12
    assert session.calls == 1 + found.warmup_runs + found.latency.samples
    assert found.warmup_runs >= 2
    assert found.warmup_ms >= 20
    assert len(found.samples_ms) == found.latency.samples
    assert sum(found.samples_ms) >= 0.9 * 100 * 0.5


def test_measuring_goes_on_until_there_are_enough_samples() -> None:
    protocol = Protocol(warmup_seconds=0, warmup_runs=0, min_seconds=0.0, min_samples=25, max_seconds=5.0)
    found = measure(Sleeper(0.001).opened, INPUTS, protocol, silent)
    assert (found.latency.samples, found.warmup_runs) == (25, 0)


def test_a_very_slow_model_ends_after_three_samples() -> None:
    protocol = Protocol(warmup_seconds=0.5, warmup_runs=3, min_seconds=3.0, min_samples=30, max_seconds=0.01)
    session = Sleeper(0.03)
    found = measure(session.opened, INPUTS, protocol, silent)
    assert (found.latency.samples, found.warmup_runs) == (3, 1)
    text = " ".join(found.warnings)
    assert "Only 3 runs fitted into 0.01 s, of 30 asked" in text
    assert "back no 95 % interval" in text


def test_the_collector_is_off_while_timing_and_on_again_after() -> None:
    session = Sleeper(0.001)
    found = measure(session.opened, INPUTS, QUICK, silent)
    timed = session.collecting[-found.latency.samples :]
    assert not any(timed)
    assert session.collecting[0]
    assert gc.isenabled()


def test_the_collector_comes_back_when_a_run_fails() -> None:
    class Failing(Sleeper):
        def run(self, inputs: Tensors) -> dict[str, Array]:
            if self.calls > 6:
                raise RuntimeError("lost the device")
            return super().run(inputs)

    session = Failing(0.001)
    with pytest.raises(RuntimeError, match="lost the device"):
        measure(session.opened, INPUTS, Protocol(warmup_seconds=0, warmup_runs=1, min_samples=30), silent)
    assert gc.isenabled()


def test_every_run_gets_the_same_contiguous_arrays() -> None:
    session = Sleeper(0.001)
    strided = np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::2]
    measure(session.opened, {"x": strided}, QUICK, silent)
    first = session.feeds[0]["x"]
    assert first.flags.c_contiguous
    np.testing.assert_array_equal(first, strided)
    assert all(feed["x"] is first for feed in session.feeds)


def test_progress_rises_and_a_cancel_ends_it() -> None:
    reports: list[Progress] = []
    measure(Sleeper(0.01).opened, INPUTS, Protocol(min_seconds=1.2, min_samples=3, warmup_seconds=0), reports.append)
    fractions = [one.fraction for one in reports if one.fraction is not None]
    assert len(fractions) >= 2
    assert fractions == sorted(fractions)
    assert all(0 <= one <= 1 for one in fractions)

    def cancel(progress: Progress) -> None:
        if progress.fraction is not None:
            raise Cancelled("Cancelled.")

    session = Sleeper(0.001)
    with pytest.raises(Cancelled):
        measure(session.opened, INPUTS, QUICK, cancel)
    assert gc.isenabled()


@pytest.mark.parametrize("protocol", [Protocol(max_seconds=0), Protocol(min_samples=0)])
def test_a_protocol_that_allows_nothing_is_refused(protocol: Protocol) -> None:
    with pytest.raises(InvalidRequest, match="needs time and samples"):
        measure(Sleeper().opened, INPUTS, protocol, silent)


def test_a_measurement_survives_json() -> None:
    found = measure(Sleeper(0.001).opened, INPUTS, QUICK, silent, settings={"threads": "2"})
    assert from_data(Measurement, to_data(found)) == found
    assert found.settings == {"threads": "2"}
    assert found.machine["processor"]


def test_what_the_session_was_really_set_to_is_recorded() -> None:
    session = Sleeper(0.001)
    session.settings = {"spinning": "off"}  # type: ignore[attr-defined]
    found = measure(session.opened, INPUTS, QUICK, silent, settings={"threads": "2", "spinning": "False"})
    assert found.settings == {"threads": "2", "spinning": "off"}


def test_memory_of_the_engine_is_seen_above_the_baseline() -> None:
    class Hungry(Sleeper):
        def run(self, inputs: Tensors) -> dict[str, Array]:
            np.ones(16 * 2**20).sum()  # 128 MiB, gone again: more than malloc keeps for the next one
            return super().run(inputs)

    found = measure(Hungry(0.001).opened, INPUTS, QUICK, silent)
    assert found.peak_memory_bytes - found.baseline_memory_bytes > 25 * 2**20


def test_noise_and_drift_are_told() -> None:
    rng = np.random.default_rng(0)
    calm = rng.normal(10, 0.1, size=200)
    assert weaknesses(latency(calm), calm, Protocol()) == ()
    noisy = rng.gamma(4, 2.5, size=200)
    assert "Noisy" in " ".join(weaknesses(latency(noisy), noisy, Protocol()))
    rising = calm + np.linspace(0, 3, 200)
    assert "second half ran" in " ".join(weaknesses(latency(rising), rising, Protocol()))
    assert "slower" in " ".join(weaknesses(latency(rising), rising, Protocol()))
    falling = rising[::-1]
    assert "longer warm-up" in " ".join(weaknesses(latency(falling), falling, Protocol()))
