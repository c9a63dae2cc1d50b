"""What latency samples say, and what they are too few to say.

Samples of one run are neither normal nor independent: they have a long tail and they drift. So the figures here are medians with
intervals that assume no distribution, and a ratio of medians is judged by resampling blocks of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from core.benchmark.latency import Latency

KEPT_SAMPLES = 2000
TAIL_SAMPLES = 10
INTERVAL_SAMPLES = 6
RESAMPLES = 2000
_TOGETHER = 100

Samples = Sequence[float] | NDArray[np.float64]


def median_rank(count: int, confidence: float = 0.95) -> int:
    """The rank j for which the j-th smallest and j-th largest sample enclose the median; 0 when there are too few samples.

    The number of samples below the median is Binomial(count, 1/2), whatever the distribution: Le Boudec, Performance
    Evaluation of Computer and Communication Systems (2010), theorem 2.1; recommended for run times by Hoefler and Belli,
    Scientific Benchmarking of Parallel Computing Systems (SC 2015), section 3.1.3. It takes 6 samples at 95 %.
    """
    below = np.arange(1, count // 2 + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - below + 1) / below))]) - count * math.log(2)
    return int(np.searchsorted(np.cumsum(np.exp(logs)), (1 - confidence) / 2, side="right"))


def percentile(samples: Samples, percent: int) -> float | None:
    """The percentile, or None unless at least 10 samples are expected beyond it: 100 for p90, 1,000 for p99.

    The count of samples beyond a percentile is binomial, so k of them tell the tail's share to 1/sqrt(k); with fewer than 10
    that is worse than a third, and one hiccup of the machine decides the figure.
    """
    if len(samples) * (100 - percent) < TAIL_SAMPLES * 100:
        return None
    return float(np.percentile(np.asarray(samples), percent))


def latency(samples_ms: Samples) -> Latency:
    """The distribution of at least one sample. With fewer than 6 the interval is their whole range.

    Raises:
        ValueError: There are no samples.
    """
    values = np.sort(np.asarray(samples_ms, dtype=np.float64))
    if not values.size:
        raise ValueError("no latency samples")
    rank = max(median_rank(values.size), 1)
    return Latency(
        samples=values.size,
        median_ms=float(np.median(values)),
        low_ms=float(values[rank - 1]),
        high_ms=float(values[-rank]),
        mean_ms=float(values.mean()),
        std_ms=float(values.std(ddof=1)) if values.size > 1 else 0.0,
        min_ms=float(values[0]),
        p90_ms=percentile(values, 90),
        p99_ms=percentile(values, 99),
    )


def throughput(runs: int, seconds: float, batch: int = 1) -> float:
    """Samples a second of runs of `batch` samples that took `seconds` one after another, what lay between them counted in."""
    return batch * runs / seconds if seconds > 0 else math.inf


def thinned(samples_ms: Samples, limit: int = KEPT_SAMPLES) -> tuple[float, ...]:
    """At most `limit` of the samples, evenly over time, to the microsecond; to the nanosecond below a tenth of a millisecond."""
    values = np.asarray(samples_ms, dtype=np.float64)
    if values.size > limit:
        values = values[np.linspace(0, values.size - 1, limit).round().astype(np.intp)]
    digits = 3 if np.median(values) >= 0.1 else 6
    return tuple(float(value) for value in values.round(digits))


class Winner(str, Enum):
    A = "a"
    B = "b"
    NEITHER = "neither"


class How(str, Enum):
    """How two engines were held against each other."""

    APART = "measured apart"
    HEAD_TO_HEAD = "head to head"


@dataclass(frozen=True, slots=True, kw_only=True)
class MedianRatio:
    """How many times faster A is than B.

    Attributes:
        ratio: B's median over A's; above 1, A is faster.
        low, high: Its 95 % interval; of two that were measured apart, with what repeated measurements of one engine differ by.
        winner: The one whose advantage is real: 1 lies outside of the interval.
        apart: How many times repeated measurements of one engine differ by, of two that were measured apart.
    """

    ratio: float
    low: float
    high: float
    winner: Winner
    how: How = How.APART
    apart: float = 1.0


def winner_of(low: float, high: float) -> Winner:
    """Whose advantage an interval of the ratio tells."""
    return Winner.A if low > 1 else Winner.B if high < 1 else Winner.NEITHER


def _resampled_medians(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians of circular block resamples (Politis and Romano, 1992), blocks of the cube root of the sample's size."""
    count = values.size
    block = max(1, round(count ** (1 / 3)))
    order = np.sort(values)
    ranks = np.searchsorted(order, values).astype(np.uint32)  # small integers are resampled and partitioned fastest
    circle = np.concatenate([ranks, ranks[:block]])
    middle = [(count - 1) // 2, count // 2]
    medians = []
    for _ in range(RESAMPLES // _TOGETHER):
        starts = rng.integers(0, count, size=(_TOGETHER, -(-count // block), 1))
        drawn = circle[starts + np.arange(block)].reshape(_TOGETHER, -1)[:, :count]
        medians.append(order[np.partition(drawn, middle, axis=1)[:, middle]].mean(axis=1))
    return np.concatenate(medians)


def _bounds(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """What the median may be: resampled medians, or the range when there are too few samples to resample."""
    if values.size >= INTERVAL_SAMPLES:
        return _resampled_medians(values, rng)
    return np.array([values.min(), values.max()])


def compare_medians(a_ms: Samples, b_ms: Samples, *, apart: float = 1.0, seed: int = 0) -> MedianRatio:
    """Whether A is faster than B, from the raw samples of both in the order taken, each in a run of its own.

    Within the runs, the interval is the bootstrap's percentile interval. Blocks of neighbours are drawn, not single samples,
    since samples taken next to each other are alike and single draws would promise too much (Künsch, 1989).

    Args:
        apart: How many times one measurement of an engine may be another of the same; the interval is wider by that, both ways.

    Raises:
        ValueError: Either has no samples.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (a_ms, b_ms))
    if not a.size or not b.size:
        raise ValueError("no latency samples")
    # A clock's tick at least, so that a run too fast to time divides nothing by zero.
    a, b = np.maximum(a, 1e-6), np.maximum(b, 1e-6)
    rng = np.random.default_rng(seed)
    medians_a, medians_b = _bounds(a, rng), _bounds(b, rng)
    if a.size >= INTERVAL_SAMPLES and b.size >= INTERVAL_SAMPLES:
        low, high = (float(x) for x in np.percentile(medians_b / medians_a, [2.5, 97.5]))
    else:
        low, high = float(medians_b.min() / medians_a.max()), float(medians_b.max() / medians_a.min())
    low, high = low / apart, high * apart
    return MedianRatio(ratio=float(np.median(b) / np.median(a)), low=low, high=high, winner=winner_of(low, high), apart=apart)
