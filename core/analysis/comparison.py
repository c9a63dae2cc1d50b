"""Sets builds of one model side by side, with a verdict on each: worth it or not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from core.analysis.candidate import CANCELLED, Candidate
from core.analysis.deviation import why_wrong
from core.analysis.duels import ratio_text, speed_text
from core.analysis.payoff import Payoff, payoff_of
from core.analysis.realized import Realized, compare_precisions
from core.analysis.versus import Versus
from core.base.precision import Precision
from core.base.units import listed, milliseconds
from core.benchmark.latency import Latency
from core.benchmark.statistics import How, MedianRatio, Winner
from core.models.model import Format
from core.request.paths import path_title
from core.request.references import ends_on, own_framework
from core.stages.contestants import MOST
from core.storage.duels import Duel


class Standing(str, Enum):
    """Where a candidate stands against the baseline."""

    BASELINE = "baseline"
    FASTER = "faster"
    SAME = "no clear difference"
    APART = "measured apart"
    SLOWER = "not worth it"
    WRONG = "wrong"
    UNCHECKED = "not checked"
    FAILED = "failed"
    NOT_COMPARABLE = "not comparable"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One candidate beside the others.

    Attributes:
        verdict: In words.
        stands_in: Of the baseline: what it stands in for, where that was not measured ("ONNX Runtime was not built").
        speedup: How many times faster than the baseline; None for the baseline itself and for what is not comparable with it.
        payoff: Whether its precision paid; None in FP32, and where the same path was not measured in FP32.
        rivals: Of the fastest that is right: names of others that may be as fast, for all that is known.
        realized: Which precision its layers ran in; None where it told no layers.
    """

    candidate: Candidate
    standing: Standing
    verdict: str
    speedup: MedianRatio | None = None
    payoff: Payoff | None = None
    realized: Realized | None = None
    stands_in: str = ""
    rivals: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.candidate.key

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def latency(self) -> Latency | None:
        return self.candidate.latency

    @property
    def speed(self) -> str:
        """The verdict without the stamp."""
        return self.verdict.removesuffix(f"; {self.candidate.stamp}") if self.candidate.stamp else self.verdict

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Sentences on layers that ran in another precision than was asked of them."""
        return tuple(pair.warning for pair in self.realized.disagreements) if self.realized else ()


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


def by_latency(rows: Sequence[ComparisonRow]) -> list[tuple[ComparisonRow, Latency]]:
    """The rows that were measured with their latency, the fastest first."""
    measured = [(row, row.latency) for row in rows if row.latency]
    return sorted(measured, key=lambda pair: pair[1].median_ms)


def fastest_first(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """All rows, those that were not measured last."""
    return [*(row for row, _ in by_latency(rows)), *(row for row in rows if not row.latency)]


def contenders(rows: Sequence[ComparisonRow]) -> list[str]:
    """Keys of the builds that a head-to-head would settle, the baseline first; empty where nothing is open.

    Those are the baseline, the fastest, and what may be as fast as either; of one device, as engines of several take no turns.
    """
    base = next((row for row in rows if row.standing is Standing.BASELINE), None)
    rivals = {name for row in rows for name in row.rivals}
    open_yet = [row for row in rows if row.standing is Standing.APART or row.name in rivals or row.rivals]
    if base is None or not open_yet:
        return []
    device = base.candidate.device
    near = [row for row, _ in by_latency(open_yet) if row.candidate.device == device and row is not base]
    return [base.key, *(row.key for row in near[: MOST - 1])] if near else []


def summary(rows: Sequence[ComparisonRow]) -> str:
    """The whole comparison in a sentence."""
    base = next((row for row in rows if row.standing is Standing.BASELINE), None)
    if base is None:
        if not any(row.latency for row in rows):
            return "Nothing was measured, so nothing can be compared."
        if any(row.standing is Standing.NOT_COMPARABLE for row in rows):
            return "The baseline was not measured, so nothing can be held against it."
        return "Nothing that was measured is right."
    stands_in = f" {base.stands_in}, so {base.name} is the baseline." if base.stands_in else ""
    unmeasured = [row.name for row in rows if not row.latency]
    besides = f" Not measured: {listed(unmeasured, 3)}." if unmeasured else ""
    unchecked = [row.name for row in rows if row.latency and row.candidate.on_par is None]
    besides += f" Nothing tells whether they are right: {listed(unchecked, 3)}." if unchecked else ""
    besides += stands_in
    better = [row for row in rows if row.standing is Standing.FASTER]
    if not better:
        return f"{_without_a_better(rows, base, all_measured=not unmeasured)}{besides}"
    best = _fastest(better)
    standing = "the fastest that is right" if best.candidate.on_par else "the fastest, though nothing tells whether it is right"
    if best.rivals:
        standing = "faster, and may be the fastest"
        besides = f" {listed(list(best.rivals), 3)} may be as fast: a head-to-head settles it.{besides}"
    told = f"{best.name} is {standing}: {best.verdict}, held against {base.name}."
    if best.candidate.stamp:
        told = f"{best.name} is {standing}, but {best.candidate.stamp}: {best.speed}, held against {base.name}."
        if deployable := [row for row in better if not row.candidate.stamp]:
            told += f" Of the others {_fastest(deployable).name} is: {_fastest(deployable).verdict}."
    return f"{told}{besides}"


def _fastest(rows: Sequence[ComparisonRow]) -> ComparisonRow:
    return max(rows, key=lambda row: row.speedup.ratio if row.speedup else 0.0)


def _without_a_better(rows: Sequence[ComparisonRow], base: ComparisonRow, *, all_measured: bool) -> str:
    """What stands where none is faster than the baseline and right: the baseline itself may not be."""
    measured = [row for row, _ in by_latency(rows)]
    right = [row for row in measured if row.candidate.on_par is not False]
    if not right:
        return (
            f"Nothing that was measured is right: {base.name} is {base.verdict}."
            if len(measured) == 1
            else (f"Nothing that was measured is right, {base.name}, the baseline, included.")
        )
    apart = [row.name for row in rows if row.standing is Standing.APART]
    if base not in right:
        than = "which of the two is faster is not settled" if right[0].name in apart else "no faster than it"
        return f"{base.name}, the baseline, is not right; of what is, {right[0].name} is the fastest, and {than}."
    if apart:
        return (
            f"No winner yet: {listed(apart, 3)} and {base.name} were measured apart, and differ by less than repeated runs may. "
            "A head-to-head settles it."
        )
    if len(measured) == 1:
        return f"{base.name} alone was measured, so there is nothing to hold it against."
    others = "no other path" if all_measured else "no other that was measured"
    return f"Nothing here is worth more than {base.name}: {others} is faster and right."


def _with_rivals(rows: list[ComparisonRow], versus: Versus) -> list[ComparisonRow]:
    """The rows, the fastest that may be deployed with those that may be as fast."""
    better = [row for row in rows if row.standing is Standing.FASTER]
    if not better:
        return rows
    best = _fastest(better)
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


def row_as_data(row: ComparisonRow) -> dict[str, Any]:
    """A row for scripts, flat; None for what it does not have. Names and order stay as they are."""
    candidate, worst, graph = row.candidate, row.candidate.worst, row.candidate.graph
    return {
        **_picked(candidate, "key", "title", "path", "precision"),
        **_picked(row, "standing", "verdict"),
        **_picked(row.latency, "median_ms", "low_ms", "high_ms", "p90_ms", "p99_ms"),
        **_picked(candidate.measurement, "throughput", "load_ms", "first_ms", "memory_bytes"),
        **_picked(candidate, "size_bytes", "size_ratio", "build_seconds"),
        "parity_passed": candidate.on_par,
        "worst_output": worst.name if worst else None,
        **_picked(worst, "max_rel", "cosine", "top1"),
        "layers": len(graph.layers) if graph else None,
        "fused_layers": len(graph.fused_layers) if graph else None,
        "source_nodes": len(graph.source_nodes) if graph else None,
        "unmapped": len(graph.unmapped) if graph else None,
        "speedup": row.speedup.ratio if row.speedup else None,
        "speedup_low": row.speedup.low if row.speedup else None,
        "speedup_high": row.speedup.high if row.speedup else None,
        **_picked(candidate, "notes", "device", "accuracy", "reference_accuracy"),
        **_picked(row, "payoff", "disagreements"),
        "unmeasured": candidate.unmeasured,
        **_picked(candidate.memory, "weights_bytes", "activation_bytes", "context_bytes"),
        "gpu_memory_bytes": candidate.memory.device_bytes(1) if candidate.memory else None,
        "parity": candidate.verdict,
        "unchecked": candidate.unchecked,
        "stamp": candidate.stamp,
        "how": row.speedup.how.value if row.speedup else None,
        "rivals": list(row.rivals),
        "weaknesses": candidate.measurement.weaknesses if candidate.measurement else (),
    }


def _picked(value: object, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name, None) for name in names}
