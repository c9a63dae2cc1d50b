"""When to stop comparing two engines, and what can be said then, although one looks in between.

Each fresh start of both gives one log ratio of their latencies; Student's t over them gives an interval. Looked at again and
again with the plain quantile, an interval of 95 % excludes the truth far more often than in 5 %. So every look has the same,
smaller level (Pocock, Group sequential methods in the design and analysis of clinical trials, Biometrika 64, 1977), chosen so
that all of them together are wrong in 5 %. The intervals are then repeated confidence intervals (Jennison and Turnbull, Interim
analyses: the repeated confidence interval approach, JRSS B 51, 1989): they hold at all looks together, for whatever reason one
stops.

Pocock's tables are for a known variance. Here it is not, and starts are few, so the level was found by simulating Student's t at
just these looks: 0.01088 each. tests/unit/benchmark/test_sequential.py simulates it again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.benchmark.statistics import How, MedianRatio, winner_of

# Starts after which one looks, with the quantile of Student's t for that look: of the level above, two-sided.
LOOKS: dict[int, float] = {4: 5.668, 5: 4.493, 6: 3.947, 8: 3.437, 10: 3.197, 13: 3.009, 16: 2.905, 20: 2.822}
FEWEST, MOST = min(LOOKS), max(LOOKS)

# Half widths of intervals that are narrow enough. A difference that is there needs no more digits than it has itself.
NO_DIFFERENCE, DIFFERENCE, SHARE = 0.01, 0.02, 0.25


def ratio_from(log_ratios: Sequence[float]) -> MedianRatio | None:
    """How many times faster A is than B, as the latest look at these starts tells; None before the first.

    Args:
        log_ratios: Of B's latency over A's, natural, one a start, in the order taken.
    """
    look = max((look for look in LOOKS if look <= len(log_ratios)), default=None)
    if look is None:
        return None
    seen = np.asarray(log_ratios[:look], dtype=np.float64)
    middle, error = float(seen.mean()), float(seen.std(ddof=1)) / math.sqrt(look)
    low, high = math.exp(middle - LOOKS[look] * error), math.exp(middle + LOOKS[look] * error)
    return MedianRatio(ratio=math.exp(middle), low=low, high=high, winner=winner_of(low, high), how=How.HEAD_TO_HEAD)


def is_narrow(found: MedianRatio) -> bool:
    """Whether more starts would tell nobody more: it is settled who is faster, or that both are as fast within 1 %."""
    half = math.log(found.high / found.low) / 2
    if found.low <= 1 <= found.high:
        return half <= NO_DIFFERENCE
    return half <= max(DIFFERENCE, SHARE * abs(math.log(found.ratio)))
