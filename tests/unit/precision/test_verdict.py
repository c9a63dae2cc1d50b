"""Whether a precision paid, in a sentence."""

from __future__ import annotations

import pytest

from core.benchmark.measurement import Latency
from core.precision.kinds import Precision
from core.precision.verdict import judge


def latency(median: float, spread: float = 0.1) -> Latency:
    return Latency(
        samples=50,
        median_ms=median,
        low_ms=median - spread,
        high_ms=median + spread,
        mean_ms=median,
        std_ms=spread,
        min_ms=median - spread,
        p90_ms=None,
        p99_ms=None,
    )


@pytest.mark.parametrize(
    ("measured", "paid", "text"),
    [
        (latency(5.0), True, "INT8 paid: 2 times as fast, 5 ms against 10 ms in FP32."),
        (latency(9.7), False, "INT8 hardly paid: 9.7 ms against 10 ms in FP32. It is smaller, 25.0 MB against 100.0 MB."),
        (latency(9.9), False, "INT8 did not pay in speed: 9.9 ms against 10 ms in FP32, within the uncertainty"),
        (latency(15.0), False, "INT8 did not pay: it is slower, 15 ms against 10 ms in FP32. It is smaller"),
    ],
)
def test_verdicts(measured: Latency, paid: bool, text: str) -> None:
    found = judge(Precision.INT8, latency(10.0), measured, fp32_bytes=100_000_000, bytes_now=25_000_000)
    assert found.paid is paid
    assert found.text.startswith(text)


def test_a_size_that_stays_is_not_praised() -> None:
    found = judge(Precision.FP16, latency(10.0), latency(15.0), fp32_bytes=100, bytes_now=100)
    assert "smaller" not in found.text
