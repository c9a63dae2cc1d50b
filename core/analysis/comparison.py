"""Sets builds of one model side by side, with a verdict on each: worth it or not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.analysis.candidate import CANCELLED, Candidate
from core.analysis.comparison_row import ComparisonRow, Standing, best_of
from core.analysis.deviation import why_wrong
from core.analysis.duels import ratio_text, speed_text
from core.analysis.payoff import Payoff, payoff_of
from core.analysis.realized import compare_precisions
from core.analysis.versus import Versus
from core.base.precision import Precision
from core.base.units import milliseconds
from core.benchmark.statistics import How, MedianRatio, Winner
from core.models.model import Format
from core.request.paths import path_title
from core.request.references import ends_on, own_framework
from core.storage.duels import Duel


def compare_candidates(
    candidates: Sequence[Candidate], *, duels: Sequence[Duel] = (), baseline: str | None = None
) -> list[ComparisonRow]:
    """A row for each candidate, in the order given.

    Args:
        duels: Head-to-heads, the newest first; builds that took part in none together are held against each other as they were
            measured apart.
        baseline: Key of the build that the others are held against; None for `default_baseline`, or the slowest that is right
            in any precision where nothing was measured in FP32.
    """
    key = baseline or default_baseline(candidates) or _slowest(_best_known([one for one in candidates if one.measurement]))
    base = next((candidate for candidate in candidates if candidate.key == key and candidate.measurement), None)
    versus = Versus(duels)
    rows = _with_rivals([_row(candidate, base, candidates, versus) for candidate in candidates], versus)
    if base is None or baseline or not (note := _stands_in(base, candidates)):
        return rows
    return [replace(row, stands_in=note, verdict=f"{row.verdict}, as {note}") if row.candidate is base else row for row in rows]


def default_baseline(candidates: Sequence[Candidate]) -> str | None:
    """Key of the source's own framework in FP32, else of what is right in FP32, else of what was not checked.

    Of several the slowest.

    None where nothing of that was measured. The order of the candidates plays no part.
    """
    measured = [one for one in candidates if one.measurement and one.precision is Precision.FP32]
    own = ([one for one in measured if ends_on(one.path, end)] for end in _own_ends(candidates))
    return _slowest(next((group for group in own if group), _best_known(measured)))


def _own_ends(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    return own_framework(Format(candidates[0].path.partition(".")[0])) if candidates else ()


def _best_known(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that are right; where none is, those that were not checked."""
    found = ([one for one in candidates if one.on_par is known] for known in (True, None))
    return next((group for group in found if group), [])


def _stands_in(base: Candidate, candidates: Sequence[Candidate]) -> str:
    """What the default baseline stands in for, and why; empty where it is the source's own framework in FP32."""
    ends = _own_ends(candidates)
    if base.precision is Precision.FP32 and any(ends_on(base.path, end) for end in ends):
        return ""
    plain = (one for one in candidates if one.precision is Precision.FP32)
    built = next((one for one in plain if any(ends_on(one.path, end) for end in ends)), None)
    name = built.title if built else path_title(f"{base.path.partition('.')[0]}.{ends[0]}")
    return f"{name} in fp32 was not {'measured' if built else 'built'}"


def _slowest(candidates: Sequence[Candidate]) -> str | None:
    """Its key; None without any."""
    return max(candidates, key=lambda one: (one.latency.median_ms if one.latency else 0.0, one.key)).key if candidates else None


def _with_rivals(rows: list[ComparisonRow], versus: Versus) -> list[ComparisonRow]:
    """The rows, the fastest that may be deployed with those that may be as fast."""
    better = [row for row in rows if row.standing is Standing.FASTER]
    if not better:
        return rows
    best = best_of(better)
    others = [row for row in rows if row.standing in (Standing.FASTER, Standing.APART) and row is not best]
    rivals = tuple(row.name for row in others if _may_be_as_fast(versus.ratio(best.candidate, row.candidate)))
    return [replace(row, rivals=rivals) if row is best else row for row in rows]


def _may_be_as_fast(ratio: MedianRatio | None) -> bool:
    return ratio is None or ratio.winner is not Winner.A


def _row(candidate: Candidate, base: Candidate | None, all_of: Sequence[Candidate], versus: Versus) -> ComparisonRow:
    ratio = versus.ratio(candidate, base) if base and candidate is not base else None
    paid = payoff_of(candidate, all_of, versus)
    standing, verdict = _judged(candidate, base, ratio, paid)
    if candidate.stamp and standing is not Standing.FAILED:
        verdict = f"{verdict}; {candidate.stamp}"
    return ComparisonRow(
        candidate=candidate,
        standing=standing,
        verdict=verdict,
        speedup=ratio,
        payoff=paid,
        realized=compare_precisions(candidate.graph, candidate.precision) if candidate.graph else None,
    )


def _judged(candidate: Candidate, base: Candidate | None, ratio: MedianRatio | None, paid: Payoff | None) -> tuple[Standing, str]:
    """The standing and the verdict in words; what is wrong is wrong before it is fast."""
    wrong = f"wrong: {why_wrong(candidate.parity)}" if candidate.parity and candidate.on_par is False else ""
    if candidate is base:
        told = wrong or candidate.doubt
        return Standing.BASELINE, f"the baseline, and {told}" if told else "the baseline"
    if candidate.error == CANCELLED:
        return Standing.FAILED, "cancelled"
    if wrong:
        return Standing.WRONG, wrong
    if not candidate.measurement:
        return _judged_without_figures(candidate)
    if base is None or ratio is None:
        against = f"on other shapes than {base.title}" if base else "with no baseline"
        return Standing.NOT_COMPARABLE, f"not comparable: measured {against}"
    standing, verdict = _judged_by_speed(base, ratio, paid)
    return (Standing.UNCHECKED, f"{candidate.doubt}; {verdict}") if candidate.doubt else (standing, verdict)


def _judged_without_figures(candidate: Candidate) -> tuple[Standing, str]:
    if candidate.error:
        return Standing.FAILED, f"failed: {candidate.error}"
    return Standing.NOT_MEASURED, candidate.unmeasured or Standing.NOT_MEASURED.value


def _judged_by_speed(base: Candidate, ratio: MedianRatio, paid: Payoff | None) -> tuple[Standing, str]:
    if ratio.winner is Winner.B:
        return Standing.SLOWER, f"not worth it: {_slower(ratio)} than {base.title}{_apart(ratio)}"
    if ratio.winner is Winner.NEITHER and ratio.how is How.APART:
        return Standing.APART, f"measured apart, no winner: {ratio.low:.2g} to {ratio.high:.2g} times as fast"
    if ratio.winner is Winner.NEITHER:
        return Standing.SAME, ratio_text(ratio)
    faster = f"{speed_text(ratio.ratio, ratio.low, ratio.high, 'faster')}{_apart(ratio)}"
    if paid and paid.paid is False:
        return Standing.SLOWER, f"not worth it: {faster}, but the same path in fp32 takes {milliseconds(paid.fp32_ms)}"
    return Standing.FASTER, faster


def _slower(ratio: MedianRatio) -> str:
    return speed_text(1 / ratio.ratio, 1 / ratio.high, 1 / ratio.low, "slower")


def _apart(ratio: MedianRatio) -> str:
    return ", measured apart" if ratio.how is How.APART else ""
