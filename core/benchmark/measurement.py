"""What a latency measurement is, with the protocol it was taken by."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.benchmark.gpu import GpuTimes
from core.benchmark.latency import Latency
from core.benchmark.weakness import GPU_HELD, GPU_MOVED, Weakness, weaknesses_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How latency is taken. Defaults follow trtexec's: warm up, then at least 3 s and enough samples.

    Attributes:
        min_samples: Fewer make no interval; measuring goes on until both minima are met.
        max_seconds: An end for very slow models, never before 3 samples.
        threads: Intra-op threads of the runtime, None for the cores of the process.
    """

    warmup_seconds: float = 0.5
    warmup_runs: int = 3
    min_seconds: float = 3.0
    min_samples: int = 30
    max_seconds: float = 60.0
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One engine's latency, host to host, one inference at a time.

    Attributes:
        latency: `low_ms` to `high_ms` is the median's 95 % interval.
        throughput: Samples of the batch a second, counted over the timed runs; runs a second when there is no batch axis.
        load_ms: From opening the engine to ready, the runtime's own import counted in.
        first_ms: The first inference, which can hide lazy compilation.
        peak_memory_bytes: Peak resident size of the measuring process, and of the same process before loading.
        shapes: Input shapes measured.
        settings: What the runtime was set to: threads, spinning, wait mode.
        machine: Processor, cores, load at the start.
        warnings: Sentences about what makes this figure weak.
        samples_ms: The latencies in the order taken, rounded, and thinned evenly to at most 2,000.
        warmup_runs: Runs before the timed ones, the first inference not counted.
        warmup_ms: How long those took.
        batch: Samples that one run carries, as `throughput` counts them.
        gpu: What the GPU itself spent, from backends that can tell.
    """

    latency: Latency
    throughput: float
    load_ms: float
    first_ms: float
    peak_memory_bytes: int
    baseline_memory_bytes: int
    shapes: dict[str, tuple[int, ...]]
    protocol: Protocol
    settings: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    samples_ms: tuple[float, ...] = ()
    warmup_runs: int = 0
    warmup_ms: float = 0.0
    batch: int = 1
    gpu: GpuTimes | None = None

    @property
    def throughput_text(self) -> str:
        """With what it counts: "250.0 runs a second, one after another"."""
        return f"{self.throughput:,.1f} {'runs' if self.batch == 1 else 'samples'} a second, one run after another"

    @property
    def weaknesses(self) -> tuple[Weakness, ...]:
        """What makes the latency weak, in words; of what the GPU's own times tell, that its clock was not the same throughout."""
        of_clocks = (text for text in (self.gpu.warnings if self.gpu else ()) if text.startswith((GPU_HELD, GPU_MOVED)))
        return weaknesses_in((*self.warnings, *of_clocks))

    @property
    def weak_because(self) -> tuple[str, ...]:
        """The sentences behind them."""
        told = (*self.warnings, *(self.gpu.warnings if self.gpu else ()))
        return tuple(text for text in told if set(weaknesses_in([text])) & set(self.weaknesses))

    @property
    def memory_bytes(self) -> int:
        """Peak of the measuring process above what it had before loading."""
        return self.peak_memory_bytes - self.baseline_memory_bytes
