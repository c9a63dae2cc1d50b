"""Sets builds of one model side by side, with a verdict on each: worth it or not, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from core.analysis.payoff import Payoff, conditions, payoff, ratio_of
from core.analysis.realized import compare_precisions
from core.base.precision import Precision
from core.benchmark.measurement import Measurement
from core.benchmark.statistics import MedianRatio, Winner
from core.graph.engine_graph import EngineGraph
from core.parity.compare import within
from core.parity.result import OutputParity, Parity
from core.request.build_request import BuildRequest
from core.request.paths import path_named
from core.stages.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One build, as far as a comparison looks at it; None for what it does not have.

    Attributes:
        key: Of the build.
        title: For people: the path and what else sets it apart.
        path: The path's id.
        build_seconds: Conversion counted in.
        error: Why it failed; empty when it did not.
        conditions: Equal for builds of the path that differ in precision alone; None when not known.
    """

    key: str
    title: str
    path: str
    precision: Precision = Precision.FP32
    measurement: Measurement | None = None
    parity: Parity | None = None
    size_bytes: int | None = None
    build_seconds: float | None = None
    graph: EngineGraph | None = None
    error: str = ""
    device: str = "cpu"
    conditions: BuildRequest | None = None


def candidate_from(outcome: Outcome) -> Candidate:
    """A stored build as a candidate."""
    build, built, prepared = outcome.build, outcome.built, outcome.prepared
    request = build.request
    return Candidate(
        key=build.key,
        title=path_named(outcome.model, request.path).title,
        path=request.path,
        precision=request.precision,
        measurement=outcome.measurement,
        parity=outcome.parity,
        size_bytes=built.engine.size_bytes if built else None,
        build_seconds=built.build_seconds + (prepared.made_seconds if prepared else 0.0) if built else None,
        graph=outcome.graph,
        error=build.error.message if build.error and not outcome.measurement else "",
        device=request.device,
        conditions=conditions(request),
    )


class Standing(str, Enum):
    """Where a candidate stands against the baseline."""

    BASELINE = "baseline"
    FASTER = "faster"
    SAME = "no clear difference"
    SLOWER = "not worth it"
    WRONG = "wrong"
    FAILED = "failed"
    NOT_COMPARABLE = "not comparable"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One candidate beside the others; None for what it does not have.

    Attributes:
        low_ms, high_ms: The median's 95 % interval.
        size_ratio: Of the engine's size to the frozen weights'.
        max_rel, cosine, top1: Of the worst output.
        unmapped: Source nodes that could not be traced to a layer.
        memory_bytes: Peak of the measuring process above what it had before loading.
        speedup: How many times faster than the baseline, with its 95 % interval.
        verdict: In words.
        notes: What makes the figures weak.
        accuracy, reference_accuracy: Top-1 on the user's labels, of this build and of the source model on the same inputs.
        payoff: Whether its precision paid; None in FP32, and where the same path was not measured in FP32.
        disagreements: Sentences on layers that ran in another precision than was asked of them.
    """

    key: str
    title: str
    path: str
    precision: Precision
    standing: Standing
    verdict: str
    median_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    throughput: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    memory_bytes: int | None = None
    size_bytes: int | None = None
    size_ratio: float | None = None
    build_seconds: float | None = None
    parity_passed: bool | None = None
    worst_output: str | None = None
    max_rel: float | None = None
    cosine: float | None = None
    top1: float | None = None
    layers: int | None = None
    fused_layers: int | None = None
    source_nodes: int | None = None
    unmapped: int | None = None
    speedup: float | None = None
    speedup_low: float | None = None
    speedup_high: float | None = None
    notes: tuple[str, ...] = ()
    device: str = "cpu"
    accuracy: float | None = None
    reference_accuracy: float | None = None
    payoff: Payoff | None = None
    disagreements: tuple[str, ...] = ()


def compare_candidates(
    candidates: Sequence[Candidate], *, baseline: str | None = None, frozen_bytes: int | None = None
) -> list[ComparisonRow]:
    """A row for each candidate, in the order given.

    Args:
        baseline: Key of the build that the others are held against; None for the first that was measured and is not wrong.
        frozen_bytes: Of the model's weights, for the size ratio.
    """
    base = _baseline(candidates, baseline)
    return [_row(candidate, base, candidates, frozen_bytes) for candidate in candidates]


def summary(rows: Sequence[ComparisonRow]) -> str:
    """The whole comparison in a sentence."""
    base = next((row for row in rows if row.standing is Standing.BASELINE), None)
    if base is None:
        return "Nothing was measured, so nothing can be compared."
    better = [row for row in rows if row.standing is Standing.FASTER]
    if not better:
        return f"Nothing here is worth more than {_named(base)}: no other path is faster and right."
    best = max(better, key=lambda row: row.speedup or 0.0)
    standing = "the fastest that is right" if best.parity_passed else "the fastest, though nothing tells whether it is right"
    return f"{_named(best)} is {standing}: {best.verdict}, held against {_named(base)}."


def _baseline(candidates: Sequence[Candidate], key: str | None) -> Candidate | None:
    if key is not None:
        return next((c for c in candidates if c.key == key and c.measurement), None)
    return next((c for c in candidates if c.measurement and not _wrong(c)), None)


def _wrong(candidate: Candidate) -> bool:
    return candidate.parity is not None and candidate.parity.on_par is False


def _row(candidate: Candidate, base: Candidate | None, all_of: Sequence[Candidate], frozen_bytes: int | None) -> ComparisonRow:
    ratio, paid = _ratio(candidate, base), payoff_of(candidate, all_of)
    standing, verdict = _judged(candidate, base, ratio, paid)
    measured, parity, graph = candidate.measurement, candidate.parity, candidate.graph
    latency = measured.latency if measured else None
    worst = _worst(parity)
    realized = compare_precisions(graph, candidate.precision) if graph else None
    return ComparisonRow(
        key=candidate.key,
        title=candidate.title,
        path=candidate.path,
        precision=candidate.precision,
        standing=standing,
        verdict=verdict,
        median_ms=latency.median_ms if latency else None,
        low_ms=latency.low_ms if latency else None,
        high_ms=latency.high_ms if latency else None,
        p90_ms=latency.p90_ms if latency else None,
        p99_ms=latency.p99_ms if latency else None,
        throughput=measured.throughput if measured else None,
        load_ms=measured.load_ms if measured else None,
        first_ms=measured.first_ms if measured else None,
        memory_bytes=measured.peak_memory_bytes - measured.baseline_memory_bytes if measured else None,
        size_bytes=candidate.size_bytes,
        size_ratio=candidate.size_bytes / frozen_bytes if candidate.size_bytes is not None and frozen_bytes else None,
        build_seconds=candidate.build_seconds,
        parity_passed=parity.on_par if parity else None,
        worst_output=worst.name if worst else None,
        max_rel=worst.max_rel if worst else None,
        cosine=worst.cosine if worst else None,
        top1=worst.top1 if worst else None,
        layers=len(graph.layers) if graph else None,
        fused_layers=len(graph.fused_layers) if graph else None,
        source_nodes=len(graph.source_nodes) if graph else None,
        unmapped=len(graph.unmapped) if graph else None,
        speedup=ratio.ratio if ratio else None,
        speedup_low=ratio.low if ratio else None,
        speedup_high=ratio.high if ratio else None,
        notes=(*(measured.warnings if measured else ()), *(parity.notes if parity else ())),
        device=candidate.device,
        accuracy=parity.accuracy.top1 if parity and parity.accuracy else None,
        reference_accuracy=parity.reference_accuracy.top1 if parity and parity.reference_accuracy else None,
        payoff=paid,
        disagreements=tuple(pair.warning for pair in realized.disagreements) if realized else (),
    )


def _ratio(candidate: Candidate, base: Candidate | None) -> MedianRatio | None:
    """How many times faster it is than the baseline, where both were measured on the same shapes."""
    if base is None or candidate is base or not candidate.measurement or not base.measurement:
        return None
    return ratio_of(candidate.measurement, base.measurement)


def _judged(candidate: Candidate, base: Candidate | None, ratio: MedianRatio | None, paid: Payoff | None) -> tuple[Standing, str]:
    """The standing and the verdict in words; what is wrong is wrong before it is fast."""
    wrong = f"wrong: {_parity_reason(candidate.parity)}" if candidate.parity and _wrong(candidate) else ""
    if candidate is base:
        return Standing.BASELINE, f"the baseline, and {wrong}" if wrong else "the baseline"
    if wrong:
        return Standing.WRONG, wrong
    if not candidate.measurement:
        return (Standing.FAILED, f"failed: {candidate.error}") if candidate.error else (Standing.NOT_MEASURED, "not measured")
    if base is None or ratio is None:
        against = f"on other shapes than {base.title}" if base else "with no baseline"
        return Standing.NOT_COMPARABLE, f"not comparable: measured {against}"
    standing, verdict = _judged_by_speed(base, ratio, paid)
    if candidate.parity is None:
        return standing, f"{verdict}, parity not checked"
    return standing, verdict if candidate.parity.on_par is not None else f"{verdict}, all outputs empty"


def _judged_by_speed(base: Candidate, ratio: MedianRatio, paid: Payoff | None) -> tuple[Standing, str]:
    if ratio.winner is Winner.B:
        slower = _times(1 / ratio.ratio, 1 / ratio.high, 1 / ratio.low, "slower")
        return Standing.SLOWER, f"not worth it: {slower} than {base.title}"
    if ratio.winner is Winner.NEITHER:
        return Standing.SAME, f"no clear difference ({ratio.low:.2f} to {ratio.high:.2f} times as fast)"
    faster = _times(ratio.ratio, ratio.low, ratio.high, "faster")
    if paid and not paid.paid:
        return Standing.SLOWER, f"not worth it: {faster}, but the same path in fp32 takes {paid.fp32_ms:.3g} ms"
    return Standing.FASTER, faster


def payoff_of(candidate: Candidate, others: Iterable[Candidate]) -> Payoff | None:
    """Whether the precision paid, against the first that is the same path in FP32, measured and right."""
    if candidate.precision is Precision.FP32 or candidate.measurement is None:
        return None
    for other in others:
        alike = (other.path, other.precision, other.conditions) == (candidate.path, Precision.FP32, candidate.conditions)
        if alike and other.measurement and not _wrong(other):
            return payoff(
                candidate.precision,
                candidate.measurement,
                other.measurement,
                size_bytes=candidate.size_bytes,
                fp32_bytes=other.size_bytes,
                on_par=not _wrong(candidate),
            )
    return None


def _parity_reason(parity: Parity) -> str:
    worst = _worst(parity)
    if worst is None:
        return "there is no output to compare"
    if worst.mismatch:
        return f"output {worst.name}: {worst.mismatch}"
    if worst.non_finite:
        return f"output {worst.name} has {worst.non_finite} NaN or infinite elements that are finite in the source model"
    if worst.unequal:
        return f"output {worst.name} differs in {worst.unequal} of {worst.elements} elements that must be equal"
    if worst.max_rel is None or math.isinf(worst.max_rel):
        return f"output {worst.name} is {worst.max_abs:g} off where the source model gives only zeros"
    return f"output {worst.name} is {percent(worst.max_rel)} off, {percent(parity.tolerance)} is allowed"


def _worst(parity: Parity | None) -> OutputParity | None:
    """The output farthest off, one that fails before one that passes."""
    if parity is None:
        return None
    worst = parity.worst_output
    if worst is not None and not parity.passed and within(worst, parity.tolerance):
        return next((output for output in parity.outputs if not within(output, parity.tolerance)), worst)
    return worst


def percent(share: float) -> str:
    """A share as people read it, small ones included: 12 %, 0.1 %, 2e-05 %."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def _times(ratio: float, low: float, high: float, word: str) -> str:
    digits = 2 if ratio < 2 else 1 if ratio < 10 else 0
    return f"{ratio:.{digits}f}x {word} ({low:.{digits}f} to {high:.{digits}f})"


def _named(row: ComparisonRow) -> str:
    return row.title if row.precision is Precision.FP32 else f"{row.title} in {row.precision.value}"
