"""The statistics against SciPy's, and against what an interval promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from core.benchmark.statistics import KEPT_SAMPLES, Winner, compare_medians, latency, median_rank, percentile, thinned, throughput


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 10, 30, 31, 70, 101, 1000, 4321, 250_000])
def test_median_rank_is_the_binomials_quantile(count: int) -> None:
    assert median_rank(count) == int(stats.binom.ppf(0.025, count, 0.5))


def test_interval_matches_scipys_quantile_test() -> None:
    values = np.random.default_rng(3).lognormal(size=73)
    expected = stats.quantile_test(values, q=np.median(values), p=0.5).confidence_interval(0.95)
    got = latency(values)
    assert (got.low_ms, got.high_ms) == pytest.approx((expected.low, expected.high))


def test_interval_covers_the_true_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    draws = [latency(rng.exponential(size=40)) for _ in range(1500)]
    covered = np.mean([one.low_ms <= math.log(2) <= one.high_ms for one in draws])
    assert 0.94 <= covered <= 0.985  # exact for 40 samples: 0.962


def test_figures_match_numpy() -> None:
    values = np.random.default_rng(0).gamma(4.0, size=1500)
    got = latency(list(values))
    assert got.samples == 1500
    assert got.median_ms == pytest.approx(np.median(values))
    assert got.mean_ms == pytest.approx(np.mean(values))
    assert got.std_ms == pytest.approx(stats.tstd(values))
    assert got.min_ms == values.min()
    assert got.p90_ms == pytest.approx(np.percentile(values, 90))
    assert got.p99_ms == pytest.approx(np.percentile(values, 99))


@pytest.mark.parametrize(
    ("count", "p90", "p99"), [(99, False, False), (100, True, False), (999, True, False), (1000, True, True)]
)
def test_percentiles_need_ten_samples_beyond_them(count: int, p90: bool, p99: bool) -> None:
    got = latency(np.arange(count, dtype=float))
    assert (got.p90_ms is not None, got.p99_ms is not None) == (p90, p99)
    assert (percentile(np.arange(count, dtype=float), 90) is not None) == p90


def test_one_sample_is_its_own_interval() -> None:
    got = latency([5.0])
    assert (got.low_ms, got.median_ms, got.high_ms, got.std_ms, got.p90_ms) == (5.0, 5.0, 5.0, 0.0, None)


def test_too_few_samples_show_their_range() -> None:
    got = latency([3.0, 1.0, 2.0])
    assert (got.low_ms, got.high_ms) == (1.0, 3.0)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no latency samples"):
        latency([])
    with pytest.raises(ValueError, match="no latency samples"):
        compare_medians([], [1.0])


def test_throughput_counts_the_batch() -> None:
    assert throughput(500, 2.0) == 250.0
    assert throughput(500, 2.0, batch=8) == 2000.0


def test_thinning_keeps_the_ends_the_order_and_microseconds() -> None:
    values = np.arange(12_345, dtype=float) / 7
    kept = thinned(values)
    assert len(kept) == KEPT_SAMPLES
    assert kept[0] == 0.0
    assert kept[-1] == round(12_344 / 7, 3)
    assert list(kept) == sorted(kept)
    assert thinned([1.23456, 2.0]) == (1.235, 2.0)
    assert thinned([0.00512345, 0.0054]) == (0.005123, 0.0054)


def test_twice_as_fast_is_seen() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.gamma(50, 0.02, size=400), rng.gamma(50, 0.04, size=300)
    found = compare_medians(a, b)
    assert found.winner is Winner.A
    assert found.ratio == pytest.approx(np.median(b) / np.median(a))
    assert 1.9 < found.low < 2.0 < found.high < 2.1


def test_swapping_the_sides_inverts_the_answer() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.gamma(50, 0.02, size=200), rng.gamma(50, 0.03, size=200)
    one, other = compare_medians(a, b), compare_medians(b, a)
    assert (one.winner, other.winner) == (Winner.A, Winner.B)
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert one.low == pytest.approx(1 / other.high, rel=0.02)


def test_same_distribution_is_seldom_called_different() -> None:
    rng = np.random.default_rng(7)
    found = [compare_medians(rng.normal(10, 1, size=100), rng.normal(10, 1, size=100), seed=i).winner for i in range(100)]
    assert sum(winner is not Winner.NEITHER for winner in found) <= 6


def test_correlated_samples_widen_the_interval() -> None:
    """Slow waves make neighbours alike: single draws would take 1,000 samples for 1,000 facts."""
    rng = np.random.default_rng(8)
    wave = np.convolve(rng.normal(size=1100), np.ones(100) / 10, mode="valid")[:1000] + 20
    shuffled = rng.permutation(wave)
    steady = np.full(1000, 20.0)
    in_order, mixed = compare_medians(wave, steady), compare_medians(shuffled, steady)
    assert in_order.high - in_order.low > 1.5 * (mixed.high - mixed.low)


def test_a_real_but_tiny_difference_is_no_win() -> None:
    found = compare_medians([10.0] * 100, [10.1] * 100, apart=1.02)
    assert found.winner is Winner.NEITHER
    assert found.ratio == pytest.approx(1.01)


def test_few_samples_are_compared_by_their_ranges() -> None:
    found = compare_medians([1.0, 1.1, 1.2], [3.0, 3.3, 3.6])
    assert (found.low, found.high) == (pytest.approx(2.5), pytest.approx(3.6))
    assert found.winner is Winner.A
    assert compare_medians([1.0, 5.0], [3.0, 3.0]).winner is Winner.NEITHER


def test_same_seed_same_answer() -> None:
    values = np.random.default_rng(9).gamma(9, size=60)
    assert compare_medians(values, values * 1.1, seed=4) == compare_medians(values, values * 1.1, seed=4)


def test_runs_too_fast_to_time_divide_nothing_by_zero() -> None:
    assert compare_medians([0.0] * 10, [0.0] * 10).ratio == 1.0
    assert throughput(1, 0.0) == math.inf


@pytest.mark.parametrize("count", [40, 41])
def test_independent_samples_agree_with_scipys_bootstrap(count: int) -> None:
    rng = np.random.default_rng(10)
    a, b = rng.gamma(30, 0.1, size=count), rng.gamma(30, 0.2, size=count)
    theirs = stats.bootstrap(
        (a, b),
        lambda x, y, axis: np.median(y, axis=axis) / np.median(x, axis=axis),
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = compare_medians(a, b)
    assert ours.low == pytest.approx(theirs.low, rel=0.06)
    assert ours.high == pytest.approx(theirs.high, rel=0.06)
