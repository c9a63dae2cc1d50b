"""Takes latency: load, first inference, warm-up, then timed runs one at a time, host to host."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InvalidRequest
from core.base.progress import Progress, Report
from core.base.tensors import Session, Tensors
from core.benchmark import machine, memory, statistics, weakness
from core.benchmark.collector import collector_off
from core.benchmark.gpu import ClockSample, clock_warnings
from core.benchmark.gpu_state import gpu_facts
from core.benchmark.latency import Latency
from core.benchmark.measurement import Measurement, Protocol

MIN_SAMPLES = 3
REPORT_NS = 500_000_000
NOISE = 0.10
DRIFT = 0.05


def measure(
    open_session: Callable[[], AbstractContextManager[Session]],
    inputs: Tensors,
    protocol: Protocol,
    report: Report,
    *,
    batch: int = 1,
    settings: Mapping[str, str] | None = None,
    sample_gpu: Callable[[str], ClockSample | None] = lambda moment: None,
) -> Measurement:
    """Loads an engine and takes its latency by the protocol.

    Args:
        open_session: Opens the engine; entering it is the load time.
        inputs: One set of inputs; every run gets the same arrays.
        batch: Samples of the batch in `inputs`, for the throughput.
        settings: What the runtime was asked for (threads, spinning), for the record; what the session's own `settings` tells,
            where it has any, is kept before it.
        sample_gpu: Tells how the GPU stands right before and right after the timed runs, where one is used.

    Raises:
        InvalidRequest: The protocol allows no measurement.
        EngineRoomError: Whatever the session raises.
    """
    if protocol.max_seconds <= 0 or protocol.min_samples < 1:
        raise InvalidRequest(
            f"A measurement needs time and samples: {protocol.max_seconds:g} s and {protocol.min_samples} samples were asked.",
            hint="Give max_seconds above 0 and min_samples of at least 1.",
        )
    feed = {name: np.asarray(value, order="C") for name, value in inputs.items()}
    facts = machine.describe_machine()
    peak_counts = memory.reset_peak()
    baseline = memory.resident_bytes()
    report(Progress(message="Loading the engine"))
    started = perf_counter_ns()
    with open_session() as session:
        loaded = perf_counter_ns()
        report(Progress(message="First inference"))
        first_started = perf_counter_ns()
        session.run(feed)
        first_ns = perf_counter_ns() - first_started
        report(Progress(message="Warming up"))
        warmup_runs, warmup_ns = _warm_up(session, feed, protocol)
        gpu_before = sample_gpu("during: the first run")
        before = machine.counters()
        samples_ns, timed_ns = _timed_runs(session, feed, protocol, report)
        after = machine.counters()
        gpu_after = sample_gpu("during: the last run")
        peak = memory.peak_bytes()
        told: Mapping[str, str] = getattr(session, "settings", {})
    samples_ms = np.frombuffer(samples_ns, dtype=np.int64) / 1e6
    figures = statistics.latency(samples_ms)
    disturbed, warnings = machine.disturbances(before, after, len(machine.usable_cpus()))
    if gpu_before and gpu_after:
        disturbed |= gpu_facts(gpu_before, gpu_after)
        warnings = (*warnings, *clock_warnings([gpu_before, gpu_after]))
    if not peak_counts:
        warnings = (*warnings, "Peak memory counts from the start of the process: this system does not let it be reset.")
    return Measurement(
        latency=figures,
        throughput=statistics.throughput(figures.samples, timed_ns / 1e9, batch),
        load_ms=(loaded - started) / 1e6,
        first_ms=first_ns / 1e6,
        peak_memory_bytes=max(peak, baseline),
        baseline_memory_bytes=baseline,
        shapes={name: tuple(int(length) for length in value.shape) for name, value in feed.items()},
        protocol=protocol,
        settings={**(settings or {}), **told},
        machine={**facts, **disturbed},
        warnings=(*weaknesses(figures, samples_ms, protocol), *warnings),
        samples_ms=statistics.thinned(samples_ms),
        warmup_runs=warmup_runs,
        warmup_ms=warmup_ns / 1e6,
        batch=batch,
    )


def _warm_up(session: Session, feed: Tensors, protocol: Protocol) -> tuple[int, int]:
    """Runs until both the time and the count are reached, or the protocol's whole time is used up."""
    runs = 0
    started = now = perf_counter_ns()
    enough, limit = started + int(protocol.warmup_seconds * 1e9), started + int(protocol.max_seconds * 1e9)
    while (runs < protocol.warmup_runs or now < enough) and now < limit:
        session.run(feed)
        runs += 1
        now = perf_counter_ns()
    return runs, now - started


def _timed_runs(session: Session, feed: Tensors, protocol: Protocol, report: Report) -> tuple[array[int], int]:
    """Nanoseconds of each run, and of all together from the first one's start to the last one's end."""
    samples = array("q")
    run, clock, keep = session.run, perf_counter_ns, samples.append
    with collector_off():
        began = now = clock()
        enough, limit = began + int(protocol.min_seconds * 1e9), began + int(protocol.max_seconds * 1e9)
        next_report = began
        while True:
            if now >= next_report:
                report(_progress(len(samples), now - began, protocol))
                next_report = now + REPORT_NS
            start = clock()
            run(feed)
            now = clock()
            keep(now - start)
            needed = min(MIN_SAMPLES, protocol.min_samples) if now >= limit else protocol.min_samples
            if (now >= enough or now >= limit) and len(samples) >= needed:
                return samples, now - began


def _progress(count: int, spent_ns: int, protocol: Protocol) -> Progress:
    spent = spent_ns / 1e9
    minima = min(spent / max(protocol.min_seconds, 1e-9), count / protocol.min_samples)
    return Progress(message=f"Measuring: {count} runs", fraction=min(1.0, max(minima, spent / protocol.max_seconds)))


def weaknesses(figures: Latency, samples_ms: NDArray[np.float64], protocol: Protocol) -> tuple[str, ...]:
    """What the samples themselves say against the figure."""
    warnings = []
    if figures.samples < protocol.min_samples:
        warnings.append(
            f"Only {figures.samples}{weakness.FEW_FITTED}{protocol.max_seconds:g} s, of {protocol.min_samples} asked: "
            "the interval is wide. Give it more time."
        )
    if figures.samples < statistics.INTERVAL_SAMPLES:
        warnings.append(f"{figures.samples}{weakness.NO_INTERVAL}: what is shown is their whole range.")
    if figures.mean_ms > 0 and (variation := figures.std_ms / figures.mean_ms) > NOISE:
        warnings.append(f"{weakness.NOISY}latencies scatter by {variation:.0%} of their mean (more than {NOISE:.0%}).")
    if figures.samples >= 2 * statistics.INTERVAL_SAMPLES:
        half = figures.samples // 2
        first, second = float(np.median(samples_ms[:half])), float(np.median(samples_ms[-half:]))
        if first > 0 and abs(second / first - 1) > DRIFT:
            way = "slower" if second > first else "faster"
            warnings.append(
                f"{weakness.DRIFTING}the second half ran {abs(second / first - 1):.0%} {way} than the first; "
                + ("the machine may be heating up or getting busier." if second > first else "a longer warm-up may help.")
            )
    return tuple(warnings)
