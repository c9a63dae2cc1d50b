"""Figures as text."""

from __future__ import annotations

import pytest

from core.base.tensors import TensorSpec
from dashboard import formatting


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
    assert formatting.milliseconds(value) == text


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
    assert formatting.seconds(value) == text


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
    assert formatting.ago(1000.0, 1000.0 + passed) == text


def test_what_is_not_known_is_never_a_zero() -> None:
    assert {formatting.size(None), formatting.count(None), formatting.short_count(None), formatting.percent(None)} == {"–"}
    assert formatting.ago(None, 0.0) == "–"


def test_counts_and_sizes() -> None:
    assert formatting.count(25_610_269) == "25,610,269"
    assert [formatting.short_count(n) for n in (7, 999, 1200, 25_610_269)] == ["7", "999", "1.2 k", "25.6 M"]
    assert [formatting.size(n) for n in (0, 999, 4_200_000)] == ["0 B", "999 B", "4.2 MB"]
    assert formatting.plural(1, "layer") == "1 layer"
    assert formatting.plural(2, "library", "libraries") == "2 libraries"
    assert formatting.percent(0.125) == "12.5 %"


def test_a_shape_says_when_even_its_rank_is_unknown() -> None:
    assert formatting.shape(TensorSpec(name="x", dtype="float32", shape=("batch", 8))) == "[batch, 8]"
    assert formatting.shape(TensorSpec(name="x", dtype="float32", shape=())) == "[]"
    assert formatting.shape(TensorSpec(name="x", dtype="float32", shape=None)) == "unknown rank"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("my_model_v2.onnx", "my_model_v2.onnx"),
        ("_x_", r"\_x\_"),
        ("a*b", r"a\*b"),
        (":red[no]", r"\:red\[no\]"),
        ("$x$ <b>", r"\$x\$ \<b\>"),
        ("größe 模型", "größe 模型"),
    ],
)
def test_users_names_are_no_markup(name: str, text: str) -> None:
    assert formatting.plain(name) == text
