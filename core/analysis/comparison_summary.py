"""A whole comparison in a sentence, and what of it a head-to-head would settle."""

from __future__ import annotations

from collections.abc import Sequence

from core.analysis.comparison_row import ComparisonRow, Standing, best_of, by_latency
from core.base.units import listed
from core.stages.contestants import MOST


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
    best = best_of(better)
    standing = "the fastest that is right" if best.candidate.on_par else "the fastest, though nothing tells whether it is right"
    if best.rivals:
        standing = "faster, and may be the fastest"
        besides = f" {listed(list(best.rivals), 3)} may be as fast: a head-to-head settles it.{besides}"
    told = f"{best.name} is {standing}: {best.verdict}, held against {base.name}."
    if best.candidate.stamp:
        told = f"{best.name} is {standing}, but {best.candidate.stamp}: {best.speed}, held against {base.name}."
        if deployable := [row for row in better if not row.candidate.stamp]:
            told += f" Of the others {best_of(deployable).name} is: {best_of(deployable).verdict}."
    return f"{told}{besides}"


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
