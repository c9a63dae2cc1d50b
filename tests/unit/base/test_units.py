"""Figures as text."""

from __future__ import annotations

import pytest

from core.base import units
from core.base.tensors import TensorSpec


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"),
        (0.01234, "0.0123 ms"),
        (1.0, "1.00 ms"),
        (12.34, "12.3 ms"),
        (99.96, "100 ms"),
        (123.4, "123 ms"),
        (1234.0, "1.23 s"),
    ],
)
def test_a_latency_has_three_digits_and_a_unit(value: float | None, text: str) -> None:
    assert units.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0004, "0.4 ms"),
        (0.03, "30 ms"),
        (0.0999, "0.1 s"),
        (0.42, "0.4 s"),
        (12.4, "12 s"),
        (59.7, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7801, "2 h 10 min"),
    ],
)
def test_a_duration_reads_as_people_say_it(value: float | None, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (-5, "just now"),
        (3, "just now"),
        (42, "42 s ago"),
        (61, "1 min ago"),
        (7300, "2 h ago"),
        (90_000, "1 day ago"),
        (2e5, "2 days ago"),
    ],
)
def test_a_moment_reads_as_its_age(passed: float, text: str) -> None:
    assert units.ago(1000.0, 1000.0 + passed) == text


def test_what_is_not_known_is_never_a_zero() -> None:
    assert {units.size(None), units.count(None), units.short_count(None), units.percent(None)} == {"–"}
    assert units.ago(None, 0.0) == "–"


def test_counts_and_sizes() -> None:
    assert units.count(25_610_269) == "25,610,269"
    assert [units.short_count(n) for n in (7, 999, 1200, 25_610_269)] == ["7", "999", "1.2 k", "25.6 M"]
    assert [units.size(n) for n in (0, 999, 4_200_000)] == ["0 B", "999 B", "4.2 MB"]
    assert units.plural(1, "layer") == "1 layer"
    assert units.plural(2, "library", "libraries") == "2 libraries"
    assert units.percent(0.125) == "12.5 %"


def test_a_shape_says_when_even_its_rank_is_unknown() -> None:
    assert units.shape(TensorSpec(name="x", dtype="float32", shape=("batch", 8))) == "[batch, 8]"
    assert units.shape(TensorSpec(name="x", dtype="float32", shape=())) == "[]"
    assert units.shape(TensorSpec(name="x", dtype="float32", shape=None)) == "unknown rank"


@pytest.mark.parametrize(
    ("share", "text"), [(0.12, "12 %"), (0.001, "0.1 %"), (2e-7, "2e-05 %"), (1.0, "100 %"), (12.0, "1200 %")]
)
def test_percents_read_well(share: float, text: str) -> None:
    assert units.percent(share) == text


def test_accuracies_may_have_a_digit_more() -> None:
    assert (units.percent(0.76123), units.percent(0.76123, 4)) == ("76.1 %", "76.12 %")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.61937, "0.6194"), (12.3, "12.30"), (-0.5, "-0.5000"), (12345.6, "12346"), (0.0, "0.000")]
)
def test_a_number_has_digits_and_no_exponent(value: float | None, text: str) -> None:
    assert units.number(value) == text


def test_an_interval_has_one_unit() -> None:
    assert units.interval(0.61834, 0.62011) == "0.6183 to 0.6201 ms"
    assert units.interval(990.0, 1010.0) == "0.9900 to 1.010 s"
    assert units.milliseconds(0.61937, digits=4) == "0.6194 ms"


def test_long_names_are_cut() -> None:
    assert (units.shortened("conv", 4), units.shortened("convolution", 4)) == ("conv", "con…")


def test_lengths_of_a_scalar_are_none() -> None:
    assert (units.lengths((1, 3, 8)), units.lengths(())) == ("1×3×8", "scalar")


@pytest.mark.parametrize(("passed", "text"), [(3, "a moment"), (20, "20 s"), (61, "1 min"), (90_000, "1 day")])
def test_how_long_something_lasts(passed: float, text: str) -> None:
    assert units.lasting(1000.0, 1000.0 + passed) == text
