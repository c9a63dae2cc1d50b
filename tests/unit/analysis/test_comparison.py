"""The comparison: rows, and a verdict that says so when something is not worth it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from core.analysis.candidate import Candidate
from core.analysis.comparison import compare_candidates
from core.analysis.comparison_data import row_as_data
from core.analysis.comparison_row import ComparisonRow, Standing, by_latency, fastest_first
from core.analysis.comparison_summary import contenders, summary
from core.analysis.versus import how_text
from core.base.precision import Precision
from core.benchmark.measurement import Measurement, Protocol
from core.benchmark.statistics import latency, thinned, throughput
from core.graph.engine_graph import EngineGraph, Fate, Layer, LooseNode, SourceNode
from core.parity.compare import compare
from core.parity.result import Parity
from core.storage.duels import Duel
from tests.duels import HOST, QUIET, duel


def measured(median_ms: float, seed: int = 0, batch: int = 1) -> Measurement:
    """A measurement of 200 samples that scatter by 5 %."""
    samples = np.random.default_rng(seed).gamma(400, median_ms / 400, size=200)
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
        warnings=("Noisy.",),
        machine={"host": HOST},
    )


def parity(error: float, tolerance: float = 1e-3) -> Parity:
    return compare([{"y": np.array([1.0, 2.0])}], [{"y": np.array([1.0, 2.0 + 2 * error])}], tolerance)


def candidate(key: str, median_ms: float | None = None, **changes: object) -> Candidate:
    seed = sum(key.encode())
    made = Candidate(
        key=key,
        title=key.title(),
        path=f"savedmodel.{key}",
        measurement=measured(median_ms, seed) if median_ms else None,
        parity=parity(1e-6),
        frozen_bytes=1000,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def rows(*candidates: Candidate, baseline: str | None = None, duels: Sequence[Duel] = (QUIET,)) -> list[ComparisonRow]:
    """On a machine where repeats differ by little, as a head-to-head of others has told."""
    return compare_candidates(candidates, baseline=baseline, duels=duels)


def test_faster_with_its_interval() -> None:
    base, fast = rows(candidate("tensorflow", 21.0), candidate("openvino", 10.0))
    assert (base.standing, base.verdict) == (Standing.BASELINE, "the baseline")
    assert base.speedup is None
    assert fast.standing is Standing.FASTER
    assert fast.speedup is not None
    assert fast.speedup.ratio == pytest.approx(2.1, rel=0.02)
    assert fast.speedup.low < fast.speedup.ratio < fast.speedup.high
    assert fast.verdict == f"2.1x faster ({fast.speedup.low:.1f} to {fast.speedup.high:.1f}), measured apart"


def test_slower_is_not_worth_it() -> None:
    found = rows(candidate("tensorflow", 10.0), candidate("xla", 14.0))[1]
    assert found.standing is Standing.SLOWER
    assert found.verdict.startswith("not worth it: 1.4")
    assert "slower (" in found.verdict
    assert found.verdict.endswith("than Tensorflow, measured apart")


def test_measured_apart_there_is_no_winner_within_what_repeats_differ_by() -> None:
    found = rows(candidate("tensorflow", 10.0), candidate("frozen", 10.05))
    assert found[1].standing is Standing.APART
    assert found[1].verdict.startswith("measured apart, no winner: 0.9")
    assert summary(found).startswith("No winner yet: Frozen and Tensorflow were measured apart")
    assert contenders(found) == ["tensorflow", "frozen"]


def test_on_a_machine_that_nothing_is_known_of_only_a_large_difference_is_a_win() -> None:
    base, near, far = candidate("tensorflow", 10.0), candidate("near", 6.0), candidate("far", 2.0)
    found = rows(base, near, far, duels=())
    assert [row.standing for row in found] == [Standing.BASELINE, Standing.APART, Standing.FASTER]
    assert found[1].speedup is not None
    assert found[1].speedup.apart == 2.0
    assert "Up to 2x is assumed" in how_text(row.speedup for row in found)
    elsewhere = replace(far, measurement=replace(measured(7.0), machine={"host": "another"}))
    assert rows(base, elsewhere)[1].standing is Standing.APART


def test_a_head_to_head_comes_before_what_was_measured_apart() -> None:
    base, other = candidate("tensorflow", 10.0), candidate("frozen", 9.0)
    found = rows(base, other, duels=(duel({"tensorflow": 10.3, "frozen": 10.0}), QUIET))
    assert found[1].standing is Standing.FASTER
    assert found[1].verdict.startswith("1.030x faster (1.02")
    assert found[1].verdict.endswith(")")
    assert row_as_data(found[1])["how"] == "head to head"
    same = rows(base, other, duels=(duel({"tensorflow": 10.0, "frozen": 10.0}), QUIET))[1]
    assert same.standing is Standing.SAME
    assert same.verdict.startswith("as fast: the difference is below 0.")
    anew = rows(base, replace(other, made_at=1.0), duels=(duel({"tensorflow": 10.3, "frozen": 10.0}), QUIET))[1]
    assert anew.verdict.endswith("measured apart")  # of the engine that was there before


def test_the_fastest_is_named_alone_only_where_it_beats_the_others_too() -> None:
    base, a, b = candidate("tensorflow", 20.0), candidate("openvino", 5.0), candidate("litert", 5.1)
    found = rows(base, a, b)
    best = max(found, key=lambda row: row.speedup.ratio if row.speedup else 0.0)
    assert len(best.rivals) == 1
    told = summary(found)
    assert "is faster, and may be the fastest" in told
    assert f"{best.rivals[0]} may be as fast: a head-to-head settles it." in told
    assert set(contenders(found)) == {"tensorflow", "openvino", "litert"}
    settled = rows(base, a, b, duels=(duel({"tensorflow": 20.0, "openvino": 5.0, "litert": 5.1}), QUIET))
    assert summary(settled).startswith("Openvino is the fastest that is right: 4.0x faster")
    assert contenders(settled) == []


def test_wrong_comes_before_fast() -> None:
    found = rows(candidate("tensorflow", 10.0), candidate("openvino", 1.0, parity=parity(0.12)))[1]
    assert (found.standing, found.verdict) == (Standing.WRONG, "wrong: output y is 12 % off, 0.1 % is allowed")
    assert found.candidate.on_par is False
    assert found.candidate.max_rel == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        ([1.0, 2.0], [1.0, np.nan], "output y has 1 NaN or infinite elements"),
        ([1, 2], [1, 3], "output y differs in 1 of 2 elements"),
        ([1.0, 2.0], [1.0], "output y: Its shape is [1] here and [2]"),
        ([0.0, 0.0], [0.0, 0.5], "output y is 0.5 off where the source model gives only zeros"),
    ],
)
def test_what_is_wrong_is_said(expected: list[float], got: list[float], words: str) -> None:
    bad = compare([{"y": np.array(expected)}], [{"y": np.array(got)}], 1e-3)
    found = rows(candidate("tensorflow", 10.0), candidate("other", 5.0, parity=bad))[1]
    assert words in found.verdict


def test_a_failing_output_is_named_before_one_that_only_has_a_larger_error() -> None:
    reference = {"count": np.array([1, 2]), "broken": np.array([1.0, 2.0])}
    bad = compare([reference], [{"count": np.array([1, 3]), "broken": np.array([1.0, np.inf])}], 1e-3)
    assert "broken" in rows(candidate("tensorflow", 10.0), candidate("other", 5.0, parity=bad))[1].verdict


def test_failed_and_not_measured_are_told_apart() -> None:
    found = rows(
        candidate("tensorflow", 10.0), candidate("xla", error="Op Foo is unsupported.", parity=None), candidate("waiting")
    )
    assert (found[1].standing, found[1].verdict) == (Standing.FAILED, "failed: Op Foo is unsupported.")
    assert (found[2].standing, found[2].verdict) == (Standing.NOT_MEASURED, "not measured")
    assert found[1].latency is None


def test_what_was_not_checked_is_not_right_however_fast() -> None:
    unknown = candidate("openvino", 5.0, parity=None, unchecked="the source model did not run: No kernel.")
    found = rows(candidate("tensorflow", 20.0), unknown, candidate("litert", 10.0))
    assert found[1].standing is Standing.UNCHECKED
    assert found[1].verdict.startswith("not checked: the source model did not run: No kernel; 4.0x faster (")
    assert summary(found).startswith("Litert is the fastest that is right: 2.0")
    assert summary(found).endswith("Nothing tells whether they are right: Openvino.")
    assert (row_as_data(found[1])["parity"], row_as_data(found[1])["parity_passed"]) == ("not checked", None)
    alone = rows(replace(unknown, path="savedmodel.tensorflow"))
    assert alone[0].verdict == "the baseline, and not checked: the source model did not run: No kernel"


def test_nan_on_both_sides_is_uncompared() -> None:
    nan = compare([{"y": np.array([np.nan])}], [{"y": np.array([np.nan])}], 1e-3)
    lost = candidate("openvino", 5.0, parity=nan, unchecked=nan.uncompared)
    found = rows(candidate("tensorflow", 20.0), lost)[1]
    assert found.standing is Standing.UNCHECKED
    assert found.verdict.startswith("uncompared: the reference is NaN on these inputs; 4.0x faster")
    assert row_as_data(found)["parity"] == "uncompared"


def test_a_stamp_goes_with_the_verdict_and_the_headline() -> None:
    stamped = candidate("openvino", 5.0, precision=Precision.INT8, stamp="uncalibrated, do not deploy")
    found = rows(candidate("tensorflow", 20.0), stamped, candidate("litert", 10.0))
    assert found[1].verdict.endswith("), measured apart; uncalibrated, do not deploy")
    told = summary(found)
    assert told.startswith("Openvino in int8 is the fastest that is right, but uncalibrated, do not deploy: 4.0x faster (")
    assert " Of the others Litert is: 2.0" in told
    assert row_as_data(found[1])["stamp"] == "uncalibrated, do not deploy"
    wrong = replace(stamped, parity=parity(0.5))
    assert rows(candidate("tensorflow", 20.0), wrong)[1].verdict.endswith("is allowed; uncalibrated, do not deploy")


def test_another_baseline_than_the_sources_own_framework_says_so() -> None:
    other, own = candidate("openvino", 5.0), candidate("tensorflow", error="No kernel.", parity=None)
    found = rows(own, other, candidate("litert", 2.0))
    assert found[1].verdict == "the baseline, as Tensorflow in fp32 was not measured"
    assert "Tensorflow in fp32 was not measured, so Openvino is the baseline." in summary(found)
    assert rows(other)[0].verdict == "the baseline, as TensorFlow, as loaded in fp32 was not built"
    assert rows(own, other, baseline="openvino")[1].verdict == "the baseline"
    asked = rows(own, other, baseline="tensorflow")
    assert summary(asked) == "The baseline was not measured, so nothing can be held against it."


def test_what_was_not_checked_is_a_baseline_only_where_nothing_is_right() -> None:
    unknown = candidate("openvino", 30.0, parity=None)
    found = rows(unknown, candidate("litert", 2.0))
    assert [row.standing for row in found] == [Standing.UNCHECKED, Standing.BASELINE]
    assert rows(unknown)[0].standing is Standing.BASELINE


def test_a_cancelled_build_is_neither_fast_nor_right() -> None:
    stopped = candidate("openvino", 5.0, error="it was cancelled", parity=None)
    found = rows(candidate("tensorflow", 20.0), stopped)[1]
    assert (found.standing, found.verdict) == (Standing.FAILED, "cancelled")


def test_a_lower_precision_must_beat_fp32_on_its_own_path() -> None:
    base, wide = candidate("tensorflow", 20.0), candidate("openvino", 10.0)
    idle = candidate("half", 10.0, path=wide.path, precision=Precision.FP16)
    useful = candidate("int8", 5.0, path=wide.path, precision=Precision.INT8)
    settled = duel({"tensorflow": 20.0, "openvino": 10.0, "half": 10.0, "int8": 5.0})
    found = rows(base, wide, idle, useful, duels=(settled,))
    assert [row.standing for row in found] == [Standing.BASELINE, Standing.FASTER, Standing.SLOWER, Standing.FASTER]
    assert found[2].verdict.startswith("not worth it: 2.00x faster (")
    assert found[2].verdict.endswith("but the same path in fp32 takes 9.88 ms")
    assert found[2].payoff is not None
    assert not found[2].payoff.paid
    assert found[3].payoff is not None
    assert found[3].payoff.paid
    assert found[1].payoff is None
    apart = rows(base, wide, idle, useful)
    assert apart[2].payoff is not None
    assert apart[2].payoff.paid is None
    assert apart[2].standing is Standing.FASTER  # than the baseline; against fp32 it is not settled
    # Where fp32 is wrong or missing there is nothing to prefer it for.
    assert rows(base, replace(wide, parity=parity(0.5)), idle)[2].standing is Standing.FASTER
    assert rows(base, idle)[1].standing is Standing.FASTER


def test_layers_in_another_precision_than_asked_are_told() -> None:
    layer = Layer(name="a", kind="Conv", precision="float32", time_ms=1.0, source_nodes=("conv",))
    graph = EngineGraph(layers=(layer,), source_nodes=(SourceNode(name="conv", op="Conv"),))
    found = rows(candidate("half", 5.0, precision=Precision.FP16, graph=graph), candidate("wide", 5.0, graph=graph))
    assert found[0].disagreements == ("1 layer asked for in float16 ran in float32, 100% of the time: node conv.",)
    assert found[1].disagreements == ()


def test_other_shapes_are_not_compared() -> None:
    found = rows(candidate("tensorflow", 10.0), candidate("batched", measurement=measured(5.0, batch=8)))[1]
    assert found.standing is Standing.NOT_COMPARABLE
    assert found.speedup is None
    assert "other shapes than Tensorflow" in found.verdict


def test_the_baseline_is_the_slowest_right_one_whatever_the_order_or_the_one_asked_for() -> None:
    wrong = candidate("wrong", 30.0, parity=parity(0.5))
    a, b = candidate("a", 10.0), candidate("b", 20.0)
    for order in ((candidate("unmeasured"), wrong, a, b), (b, a, wrong)):
        assert [row.key for row in rows(*order) if row.standing is Standing.BASELINE] == ["b"]
    half = candidate("half", 50.0, precision=Precision.FP16)
    eighth = candidate("eighth", 25.0, precision=Precision.INT8)
    assert [row.key for row in rows(eighth, half) if row.standing is Standing.BASELINE] == ["half"]
    assert summary(rows(replace(half, parity=parity(0.5)))) == "Nothing that was measured is right."
    own = candidate("tensorflow", 1.0)
    assert [row.key for row in rows(a, own, b) if row.standing is Standing.BASELINE] == ["tensorflow"]
    chosen = rows(a, b, baseline="b")
    assert [row.standing for row in chosen] == [Standing.FASTER, Standing.BASELINE]
    found = rows(wrong, a, baseline="wrong")
    assert found[0].standing is Standing.BASELINE
    assert "and wrong: output y is 50 % off" in found[0].verdict
    missing = rows(a, b, baseline="gone")
    assert {row.standing for row in missing} == {Standing.NOT_COMPARABLE}


def test_figures_are_carried_over() -> None:
    nodes = tuple(SourceNode(name=f"n{i}", op="Conv") for i in range(4))
    graph = EngineGraph(
        layers=(Layer(name="l0", kind="Conv", source_nodes=("n0", "n1")), Layer(name="l1", kind="Conv", source_nodes=("n2",))),
        source_nodes=nodes,
        loose_nodes=(LooseNode(name="n3", op="Conv", fate=Fate.UNMAPPED, reason="?"),),
    )
    row = row_as_data(rows(candidate("tensorflow", 10.0, graph=graph, size_bytes=1500, build_seconds=3.5))[0])
    assert (row["layers"], row["fused_layers"], row["source_nodes"], row["unmapped"]) == (2, 1, 4, 1)
    assert (row["size_bytes"], row["size_ratio"], row["build_seconds"]) == (1500, 1.5, 3.5)
    assert (row["memory_bytes"], row["load_ms"], row["first_ms"]) == (200, 12.0, 30.0)
    assert row["p90_ms"] is not None
    assert row["p99_ms"] is None
    assert row["worst_output"] == "y"
    assert row["notes"] == ("Noisy.",)


SCRIPTS_READ = """
    key title path precision standing verdict median_ms low_ms high_ms p90_ms p99_ms throughput load_ms first_ms memory_bytes
    size_bytes size_ratio build_seconds parity_passed worst_output max_rel cosine top1 layers fused_layers source_nodes unmapped
    speedup speedup_low speedup_high notes device accuracy reference_accuracy payoff disagreements unmeasured
    weights_bytes activation_bytes context_bytes gpu_memory_bytes parity unchecked stamp how rivals weaknesses
"""


@pytest.mark.parametrize("median_ms", [None, 10.0])
def test_scripts_find_every_figure_by_the_name_it_has_had(median_ms: float | None) -> None:
    found = row_as_data(rows(candidate("tensorflow", median_ms))[0])
    assert list(found) == SCRIPTS_READ.split()
    assert found["median_ms"] == (median_ms and pytest.approx(median_ms, rel=0.02))


def test_the_fastest_comes_first_and_what_was_not_measured_last() -> None:
    found = rows(candidate("tensorflow", 20.0), candidate("waiting"), candidate("openvino", 5.0))
    assert [row.key for row in fastest_first(found)] == ["openvino", "tensorflow", "waiting"]
    assert [row.key for row, _ in by_latency(found)] == ["openvino", "tensorflow"]


def test_measurements_without_samples_are_compared_by_their_intervals() -> None:
    def bare(one: Measurement) -> Measurement:
        return replace(one, samples_ms=())

    found = rows(candidate("a", measurement=bare(measured(10.0))), candidate("b", measurement=bare(measured(5.0, 1))))[1]
    assert found.standing is Standing.FASTER
    assert found.speedup is not None
    assert found.speedup.ratio == pytest.approx(2.0, rel=0.03)


def test_the_summary_is_plain() -> None:
    a, b, c = candidate("tensorflow", 20.0), candidate("openvino", 5.0), candidate("litert", 10.0)
    assert summary(rows(a, b, c)).startswith("Openvino is the fastest that is right: 4.")
    assert (
        summary(rows(a, candidate("xla", 40.0)))
        == "Nothing here is worth more than Tensorflow: no other path is faster and right."
    )
    assert summary(rows(a)) == "Tensorflow alone was measured, so there is nothing to hold it against."
    assert summary(rows(replace(a, parity=parity(0.3)))) == (
        "Nothing that was measured is right: Tensorflow is the baseline, and wrong: output y is 30 % off, 0.1 % is allowed."
    )
    both = summary(rows(replace(a, parity=parity(0.3)), replace(b, parity=parity(0.3))))
    assert both == "Nothing that was measured is right, Tensorflow, the baseline, included."
    wrong = rows(replace(b, parity=parity(0.3)), c, baseline="openvino")
    assert summary(wrong) == "Openvino, the baseline, is not right; of what is, Litert is the fastest, and no faster than it."
    assert "is worth more" in summary(rows(a, replace(b, parity=parity(0.3))))
    assert summary(rows(candidate("tensorflow"))) == "Nothing was measured, so nothing can be compared."
    assert summary([]) == "Nothing was measured, so nothing can be compared."
    half = replace(b, precision=Precision.FP16)
    assert summary(rows(a, half)).startswith("Openvino in fp16 is the fastest")
