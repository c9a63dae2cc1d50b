"""Times an engine on the GPU as trtexec does, both protocols, and host to host.

The method of trtexec (samples/common/sampleInference.cpp): warm up, then at least 10 runs and 3 seconds, the next run queued
before the last one is waited for, CUDA events around copies and kernels. Copies and kernels share one stream, as with its
`--exposeDMA`; by default it overlaps them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from core.backends._tensorrt import cuda, nvml
from core.backends._tensorrt.execution import Execution
from core.base.errors import InvalidRequest, RunFailed
from core.base.progress import Progress, Report
from core.base.tensors import Array, Axis, Signature, TensorSpec
from core.benchmark import statistics
from core.benchmark.collector import collector_off
from core.benchmark.gpu import BatchPoint, GpuRun, GpuTimes, StreamPoint, clock_warnings, knee_of, run_warnings, sweep_batches
from core.benchmark.latency import Latency
from core.benchmark.measurement import Protocol

_STREAMS = (1, 2, 4)
_QUEUED = 2
_STREAM_SECONDS = 0.5
_SWEEP_SECONDS = 0.3
_SAMPLED_MS = 50.0
_MOST_RUNS = 100_000


def gpu_times(
    trt: Any, engine: Any, signature: Signature, arrays: Mapping[str, Array], protocol: Protocol, report: Report
) -> GpuTimes:
    """Takes every figure of `GpuTimes`.

    Args:
        engine: An `ICudaEngine`.
        signature: Its model's; axes of one name are resized together.
        arrays: One set of inputs; each run gets it.
        protocol: Warm-up and the minima of each of the up to four protocols.
    """
    execution = Execution(trt, engine)
    notes: list[str] = []
    runs: list[GpuRun] = []
    try:
        execution.prepare(arrays)
        execution.fill(arrays)
        execution.upload()
        with nvml.clocks(cuda.pci_bus_id()) as clocks:
            clocks.sample("before")
            for transfers in (False, True):
                for graph in (False, True):
                    if graph and not execution.graph_possible:
                        continue
                    report(Progress(message=f"Timing on the GPU: {_named(transfers, graph)}", fraction=len(runs) / 6))
                    try:
                        runs.append(_pipelined(execution, transfers, graph, protocol))
                    except RunFailed as error:
                        if not graph:
                            raise
                        notes.append(f"No CUDA graph {_named(transfers, graph)}: {error.message}")
                    _sample_busy(execution, clocks, f"during: {_named(transfers, graph)}", runs[0].compute.median_ms)
            report(Progress(message="Timing host to host", fraction=0.7))
            host_to_host = _host_to_host(execution, protocol, notes)
            _sample_busy(execution, clocks, "during: host to host", runs[0].compute.median_ms)
            report(Progress(message="Several streams", fraction=0.8))
            streams = _streams(execution, arrays, notes)
            report(Progress(message="Batch sizes", fraction=0.9))
            batches = _sweep(execution, signature, arrays, notes)
            clocks.sample("after")
    finally:
        execution.close()
    warnings = [*(text for run in runs for text in run_warnings(run)), *clock_warnings(clocks.samples), *notes]
    return GpuTimes(
        runs=tuple(runs),
        host_to_host=host_to_host,
        streams=streams,
        batches=batches,
        knee=knee_of(batches),
        clocks=tuple(clocks.samples),
        settings={
            "wait": "spin",
            "warm-up": f"{protocol.warmup_seconds:g} s",
            "each protocol": f"at least {protocol.min_samples} runs and {protocol.min_seconds:g} s",
            "queued ahead": f"{_QUEUED - 1} run",
        },
        warnings=tuple(warnings),
    )


def _named(transfers: bool, graph: bool) -> str:
    return f"transfers {'in' if transfers else 'out'}, CUDA graph {'on' if graph else 'off'}"


def _sample_busy(execution: Execution, clocks: nvml.Clocks, moment: str, run_ms: float) -> None:
    """Samples the clocks with runs queued: on an idle GPU, a power cap or the heat no longer hold them back.

    Args:
        run_ms: What a run takes; enough are queued to outlast NVML's answers.
    """
    for _ in range(math.ceil(_SAMPLED_MS / max(run_ms, 0.01))):
        execution.enqueue()
    clocks.sample(moment)
    execution.synchronize()


class _Slot:
    """Events of one run in flight: before the copy in, around the kernels, after the copy out."""

    def __init__(self) -> None:
        self.start, self.begin, self.end, self.done = (cuda.Event() for _ in range(4))

    def free(self) -> None:
        for event in (self.start, self.begin, self.end, self.done):
            event.free()


def _pipelined(execution: Execution, transfers: bool, graph: bool, protocol: Protocol) -> GpuRun:
    """One protocol; the next run is queued before the last one is waited for."""
    captured = execution.capture(transfers=False) if graph else None
    slots = [_Slot() for _ in range(_QUEUED)]
    enqueue_ms: list[float] = []
    times: list[tuple[float, float, float]] = []

    def submit(slot: _Slot) -> None:
        stream = execution.stream
        if transfers:
            slot.start.record(stream)
            execution.upload()
        slot.begin.record(stream)
        handed = perf_counter()
        if captured is None:
            execution.enqueue()
        else:
            captured.launch(stream)
        enqueue_ms.append((perf_counter() - handed) * 1000)
        slot.end.record(stream)
        if transfers:
            execution.download()
            slot.done.record(stream)

    def finish(slot: _Slot) -> None:
        if not transfers:
            slot.end.wait()
            times.append((0.0, slot.end.milliseconds_since(slot.begin), 0.0))
            return
        slot.done.wait()
        parts = (slot.start, slot.begin), (slot.begin, slot.end), (slot.end, slot.done)
        h2d, compute, d2h = (b.milliseconds_since(a) for a, b in parts)
        times.append((h2d, compute, d2h))

    try:
        _loop(
            lambda index: submit(slots[index % _QUEUED]), lambda index: finish(slots[index % _QUEUED]), protocol.warmup_seconds, 3
        )
        enqueue_ms.clear()
        times.clear()
        seconds = _loop(
            lambda index: submit(slots[index % _QUEUED]),
            lambda index: finish(slots[index % _QUEUED]),
            protocol.min_seconds,
            protocol.min_samples,
        )
    finally:
        execution.synchronize()
        for slot in slots:
            slot.free()
        if captured is not None:
            captured.free()
    h2d, compute, d2h = (np.array(column) for column in zip(*times, strict=True))
    return GpuRun(
        transfers=transfers,
        graph=graph,
        compute=statistics.latency(compute),
        latency=statistics.latency(h2d + compute + d2h),
        enqueue_ms=float(np.median(enqueue_ms)),
        throughput=len(times) / seconds,
        h2d_ms=float(np.median(h2d)) if transfers else None,
        d2h_ms=float(np.median(d2h)) if transfers else None,
    )


def _loop(submit: Callable[[int], None], finish: Callable[[int], None], seconds: float, least: int) -> float:
    """Submits and finishes runs, one queued ahead, until both minima are met; returns the seconds it took."""
    submitted = finished = 0
    with collector_off():
        started = perf_counter()
        while finished < _MOST_RUNS:
            enough = submitted >= least and perf_counter() - started >= seconds
            if not enough:
                submit(submitted)
                submitted += 1
            if enough or submitted - finished == _QUEUED:
                if finished == submitted:
                    break
                finish(finished)
                finished += 1
        return perf_counter() - started


def _host_to_host(execution: Execution, protocol: Protocol, notes: list[str]) -> dict[str, Latency]:
    """One run at a time, each waited for; the inputs lie in page-locked memory."""

    def plainly() -> None:
        execution.upload()
        execution.enqueue()
        execution.download()
        execution.synchronize()

    found = {"plain": statistics.latency(_timed(plainly, protocol))}
    if not execution.graph_possible:
        return found
    try:
        graph = execution.capture(transfers=True)
    except RunFailed as error:
        notes.append(f"No CUDA graph host to host: {error.message}")
        return found

    def by_graph() -> None:
        graph.launch(execution.stream)
        execution.synchronize()

    try:
        found["graph"] = statistics.latency(_timed(by_graph, protocol))
    finally:
        graph.free()
    return found


def _timed(run: Callable[[], None], protocol: Protocol) -> list[float]:
    started = perf_counter()
    while perf_counter() - started < protocol.warmup_seconds:
        run()
    samples: list[float] = []
    with collector_off():
        started = perf_counter()
        while len(samples) < protocol.min_samples or perf_counter() - started < protocol.min_seconds:
            begin = perf_counter()
            run()
            samples.append((perf_counter() - begin) * 1000)
    return samples


def _streams(first: Execution, arrays: Mapping[str, Array], notes: list[str]) -> tuple[StreamPoint, ...]:
    """Runs a second with several contexts, each on its own stream with one run queued ahead; copies are left out."""
    executions = [first]
    points = []
    try:
        for count in _STREAMS:
            while len(executions) < count:
                executions.append(Execution(first.trt, first.engine))
                executions[-1].prepare(arrays)
                executions[-1].fill(arrays)
                executions[-1].upload()
                executions[-1].enqueue()
                executions[-1].synchronize()
            points.append(StreamPoint(streams=count, throughput=_together(executions)))
    except RunFailed as error:  # memory, or one context for each optimization profile
        notes.append(f"No more than {len(points)} streams: {error.message}")
    finally:
        for execution in executions[1:]:
            execution.close()
    return tuple(points)


def _together(executions: Sequence[Execution]) -> float:
    """Runs a second of all contexts at once."""
    events = [cuda.Event(timing=False) for _ in range(len(executions) * _QUEUED)]
    runs = 0
    started = perf_counter()
    try:
        while perf_counter() - started < _STREAM_SECONDS:
            slot = runs % len(events)
            if runs >= len(events):
                events[slot].wait()
            execution = executions[runs % len(executions)]
            execution.enqueue()
            events[slot].record(execution.stream)
            runs += 1
        for execution in executions:
            execution.synchronize()
        return runs / (perf_counter() - started)
    finally:
        for event in events:
            event.free()


def _sweep(execution: Execution, signature: Signature, arrays: Mapping[str, Array], notes: list[str]) -> tuple[BatchPoint, ...]:
    """Compute time by batch, where the first axis of every input has a range in the profile; else nothing."""
    limits = [execution.engine.get_tensor_profile_shape(binding.name, execution.profile) for binding in execution.inputs]
    ranges = {(*tuple(low)[:1], *tuple(high)[:1]) for low, _, high in limits}  # a scalar's is empty
    if len(ranges) != 1 or () in ranges or len({array.shape[:1] for array in arrays.values()}) != 1:
        return ()
    low, high = ranges.pop()
    named = {spec.shape[0] for spec in signature.inputs if spec.shape}
    points: list[BatchPoint] = []
    for batch in sweep_batches(low, high) if high > low else ():
        resized = {spec.name: _resized(spec, arrays[spec.name], batch, named) for spec in signature.inputs}
        try:
            points.append(_batch_point(execution, resized, batch))
        except (InvalidRequest, RunFailed) as error:  # axes tied by more than their names, or memory
            notes.append(f"No batch sizes from {batch} on: {error.message}")
            break
    return tuple(points)


def _resized(spec: TensorSpec, array: Array, batch: int, named: Collection[Axis]) -> Array:
    """The array with so many samples, on every axis with the name of a first one too: `[n, n]` stays square."""
    axes = enumerate(zip(spec.shape or array.shape, array.shape, strict=True))
    return np.resize(array, [batch if index == 0 or axis in named else length for index, (axis, length) in axes])


def _batch_point(execution: Execution, arrays: Mapping[str, Array], batch: int) -> BatchPoint:
    execution.prepare(arrays)
    execution.fill(arrays)
    execution.upload()
    short = Protocol(warmup_seconds=0.1, min_seconds=_SWEEP_SECONDS, min_samples=10)
    compute = _pipelined(execution, False, False, short).compute.median_ms
    return BatchPoint(batch=batch, compute_ms=compute, throughput=statistics.throughput(1, compute / 1e3, batch))
