"""The rule for stopping keeps its error although it looks in between."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.benchmark.sequential import LOOKS, MOST, is_narrow, ratio_from
from core.benchmark.statistics import How, MedianRatio, Winner

TRIES = 40_000


def share_called_different(true_ratio: float, scatter: float) -> float:
    """Of head-to-heads that stop as soon as a look excludes 1."""
    rng = np.random.default_rng(7)
    logs = rng.normal(math.log(true_ratio), scatter, size=(TRIES, MOST))
    different = np.zeros(TRIES, dtype=bool)
    for look, quantile in LOOKS.items():
        seen = logs[:, :look]
        different |= np.abs(seen.mean(axis=1)) > quantile * seen.std(axis=1, ddof=1) / math.sqrt(look)
    return float(different.mean())


def test_of_equal_engines_at_most_five_in_a_hundred_are_called_different_over_all_looks() -> None:
    share = share_called_different(1.0, 0.02)
    assert 0.045 < share < 0.0533  # 5 %, and three standard errors of this simulation


def test_a_true_three_percent_is_found_where_starts_scatter_by_two() -> None:
    assert share_called_different(1.03, 0.02) > 0.99


def test_the_ratio_is_of_the_latest_look_and_nothing_is_told_before_the_first() -> None:
    logs = [math.log(2.0) + shift for shift in (-0.01, 0.01, 0.0, 0.02, -0.02, 0.5)]
    assert ratio_from(logs[:3]) is None
    four = ratio_from(logs[:4])
    assert four is not None
    assert four.how is How.HEAD_TO_HEAD
    assert four.winner is Winner.A
    half = LOOKS[4] * float(np.std([-0.01, 0.01, 0.0, 0.02], ddof=1)) / 2
    assert four.ratio == pytest.approx(2.0 * math.exp(0.005))
    assert four.high == pytest.approx(four.ratio * math.exp(half))
    assert ratio_from([*logs, 9.0]) == ratio_from(logs)  # 7 starts are between two looks


@pytest.mark.parametrize(
    ("low", "high", "narrow"),
    [
        (0.991, 1.009, True),  # as fast
        (0.98, 1.02, False),
        (1.001, 1.03, True),  # a difference, to within 2 %
        (1.001, 1.06, False),
        (1.7, 2.3, True),  # a large one needs fewer digits
        (1.2, 2.8, False),
    ],
)
def test_narrow_enough(low: float, high: float, narrow: bool) -> None:
    for one, other in ((low, high), (1 / high, 1 / low)):
        found = MedianRatio(ratio=math.sqrt(one * other), low=one, high=other, winner=Winner.NEITHER)
        assert is_narrow(found) is narrow
