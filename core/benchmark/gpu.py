"""What a GPU measurement found: trtexec's figures, both of its protocols, and what they say against themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from core.benchmark import weakness
from core.benchmark.latency import Latency
from core.benchmark.weakness import Weakness, weaknesses_in

# trtexec warns above these: samples/common/sampleReporting.cpp of NVIDIA/TensorRT.
ENQUEUE_SHARE = 0.8
VARIATION = 0.025
# nvml.h: nvmlClocksEventReason*, called throttle reasons before driver 535.
_REASONS = {
    0x2: "application clocks setting",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal slowdown by software",
    0x40: "thermal slowdown by hardware",
    0x80: "power brake",
    0x100: "display clocks setting",
}
# A larger batch that brings less than this is past the knee (Triton Model Navigator's default).
KNEE_GAIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRun:
    """One protocol's figures; a run is one inference of the whole batch, the next one queued before it ends.

    Attributes:
        transfers: Whether inputs were copied in and outputs out for each run: trtexec's default up to 10.16, not since 11.
        graph: Whether a CUDA graph launched the run: trtexec's default since 11.
        compute: Between two CUDA events around the run's kernels.
        latency: `compute` and the two copies; the same as `compute` without transfers.
        enqueue_ms: Median time the processor took to hand a run over.
        throughput: Runs a second.
        h2d_ms: Median of copying the inputs in; None without transfers.
        d2h_ms: Median of copying the outputs out; None without transfers.
    """

    transfers: bool
    graph: bool
    compute: Latency
    latency: Latency
    enqueue_ms: float
    throughput: float
    h2d_ms: float | None = None
    d2h_ms: float | None = None

    @property
    def title(self) -> str:
        return f"{'with' if self.transfers else 'without'} transfers" + (", by CUDA graph" if self.graph else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPoint:
    """Runs a second with so many runs in flight, each on a stream of its own; latencies mean nothing then."""

    streams: int
    throughput: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPoint:
    """One batch size: median compute milliseconds of a run, and the samples a second that it would give without a pause."""

    batch: int
    compute_ms: float
    throughput: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSample:
    """The GPU's state at one moment, as NVML tells it; None where it does not.

    Attributes:
        throttled_by: Why its clock is lower than asked for ("power cap", "thermal slowdown"); empty when nothing holds it back.
    """

    moment: str
    sm_mhz: int | None
    memory_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    throttled_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTimes:
    """Everything a GPU measurement found.

    Attributes:
        runs: Transfers in or out, CUDA graph on or off: up to four.
        host_to_host: One inference at a time from page-locked host memory and back, waiting for each: "plain" and "graph".
        streams: Throughput by streams.
        batches: Throughput by batch, for engines that take several.
        knee: The batch from which on larger ones hardly pay; None without a sweep.
        clocks: Before, during and after.
        settings: Warm-up, counts, wait mode.
        warnings: Sentences about what makes these figures weak, or what bounds them.
    """

    runs: tuple[GpuRun, ...]
    host_to_host: dict[str, Latency] = field(default_factory=dict)
    streams: tuple[StreamPoint, ...] = ()
    batches: tuple[BatchPoint, ...] = ()
    knee: int | None = None
    clocks: tuple[ClockSample, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def weaknesses(self) -> tuple[Weakness, ...]:
        """What makes these figures weak, in words; what bounds them is none."""
        return weaknesses_in(self.warnings)


def held_back_by(bits: int) -> tuple[str, ...]:
    """NVML's bit mask in words; an idle GPU's clock is not held back by anything."""
    return tuple(text for bit, text in _REASONS.items() if bits & bit)


def run_warnings(run: GpuRun) -> tuple[str, ...]:
    """What trtexec would warn of."""
    found = []
    how = run.title
    compute = run.compute.median_ms
    if run.enqueue_ms > ENQUEUE_SHARE * compute:
        found.append(
            f"Enqueue-bound {how}: handing a run over takes {run.enqueue_ms:.3f} ms of the {compute:.3f} ms it computes."
            + ("" if run.graph else " A CUDA graph may help.")
        )
    if run.h2d_ms is not None and run.d2h_ms is not None and run.h2d_ms + run.d2h_ms >= compute:
        moved = run.h2d_ms + run.d2h_ms
        found.append(f"Transfer-bound {how}: copies take {moved:.3f} ms, the computation {compute:.3f} ms.")
    if run.compute.mean_ms and run.compute.std_ms / run.compute.mean_ms > VARIATION:
        share = run.compute.std_ms / run.compute.mean_ms
        found.append(
            f"{weakness.UNSTEADY}{how}: compute times vary by {share:.1%} of their mean. Locked clocks would steady them."
        )
    return tuple(found)


def clock_warnings(clocks: Sequence[ClockSample]) -> tuple[str, ...]:
    """What held the GPU's clock back, and whether it moved while measuring.

    Args:
        clocks: Those that count for a move are of a moment called "during: ...".
    """
    found = []
    if causes := sorted({cause for sample in clocks for cause in sample.throttled_by}):
        found.append(f"{weakness.GPU_HELD}{', '.join(causes)}.")
    busy = [sample.sm_mhz for sample in clocks if sample.sm_mhz and sample.moment.startswith("during")]
    if busy and min(busy) < 0.95 * max(busy):
        found.append(f"{weakness.GPU_MOVED}{min(busy)} and {max(busy)} MHz while measuring.")
    return tuple(found)


def knee_of(points: Sequence[BatchPoint]) -> int | None:
    """The first batch after which a larger one gains less than 5 % of throughput; the largest when none does."""
    ordered = sorted(points, key=lambda point: point.batch)
    for here, after in pairwise(ordered):
        if after.throughput < here.throughput * (1 + KNEE_GAIN):
            return here.batch
    return ordered[-1].batch if ordered else None


def sweep_batches(low: int, high: int) -> tuple[int, ...]:
    """Powers of two from the smallest to the largest batch, both included."""
    steps = [low]
    while steps[-1] * 2 < high:
        steps.append(steps[-1] * 2)
    return tuple(steps) if high <= low else (*steps, high)
