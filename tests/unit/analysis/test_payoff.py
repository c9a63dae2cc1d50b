"""Whether a precision paid, in a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.analysis.candidate import conditions
from core.analysis.payoff import Payoff, is_measure_for, payoff
from core.base.precision import Precision
from core.base.units import milliseconds
from core.benchmark.measurement import Measurement, Protocol
from core.benchmark.statistics import How, compare_medians, latency, thinned, throughput
from core.precision.settings import PrecisionSettings
from core.request.build_request import BuildRequest


def measured(median_ms: float, seed: int = 0, batch: int = 1) -> Measurement:
    """A measurement of 400 samples that scatter by 2 %."""
    samples = np.random.default_rng(seed).gamma(2500, median_ms / 2500, size=400)
    figures = latency(samples)
    return Measurement(
        latency=figures,
        throughput=throughput(len(samples), samples.sum() / 1e3, batch),
        load_ms=12.0,
        first_ms=30.0,
        peak_memory_bytes=300,
        baseline_memory_bytes=100,
        shapes={"x": (batch, 3)},
        protocol=Protocol(),
        samples_ms=thinned(samples),
    )


def judged(median_ms: float, *, bytes_now: int = 25_000_000, on_par: bool = True, how: How = How.HEAD_TO_HEAD) -> Payoff:
    one, other = measured(median_ms, seed=1), measured(10.0)
    return payoff(
        Precision.INT8,
        one,
        other,
        replace(compare_medians(one.samples_ms, other.samples_ms), how=how),
        size_bytes=bytes_now,
        fp32_bytes=100_000_000,
        on_par=on_par,
    )


@pytest.mark.parametrize(
    ("median_ms", "paid", "begins"),
    [
        (5.0, True, "INT8 paid: "),
        (9.7, False, "INT8 hardly paid: "),
        (10.0, False, "INT8 did not pay: no clear difference, "),
        (15.0, False, "INT8 did not pay: it is slower, "),
    ],
)
def test_verdicts(median_ms: float, paid: bool, begins: str) -> None:
    found = judged(median_ms)
    assert found.paid is paid
    assert found.text.startswith(begins)
    assert f"{milliseconds(found.fp32_ms)} in FP32" in found.text
    assert ("It is smaller, 25.0 MB against 100.0 MB." in found.text) is not paid


def test_a_size_that_stays_is_not_praised() -> None:
    assert "smaller" not in judged(15.0, bytes_now=100_000_000).text


def test_fast_and_wrong_did_not_pay() -> None:
    found = judged(5.0, on_par=False)
    assert not found.paid
    assert found.text.endswith("and its outputs are not on par.")


def test_measured_apart_it_is_not_settled_within_what_repeats_differ_by() -> None:
    found = judged(10.0, how=How.APART)
    assert found.paid is None
    assert found.text.startswith("Whether INT8 paid is not settled: ")
    assert judged(5.0, how=How.APART).paid


def test_conditions_are_what_precision_does_not_touch() -> None:
    wide = BuildRequest(model="m", path="onnx.onnxruntime", threads=2)
    narrow = replace(
        wide,
        precision=Precision.INT8,
        lowering=PrecisionSettings(percentile=99.9),
        calibration="data",
        inputs="mine",
        seed=3,
    )
    assert conditions(narrow) == conditions(wide)
    assert conditions(replace(narrow, threads=1)) != conditions(wide)
    assert is_measure_for(wide, narrow)
    assert not is_measure_for(wide, wide)
    assert not is_measure_for(narrow, wide)
