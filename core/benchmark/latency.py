"""What a set of latencies is summed up to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A distribution of latencies, milliseconds. Percentiles are None where too few samples back them."""

    samples: int
    median_ms: float
    low_ms: float
    high_ms: float
    mean_ms: float
    std_ms: float
    min_ms: float
    p90_ms: float | None
    p99_ms: float | None
