"""What came of them as tables: a row a network and path, a column a precision; then the reasons, in whose words they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.strangers.attempt import Came
from bench.strangers.report import Row, cell, reason_of, totals


def text(rows: Sequence[Row]) -> str:
    """All of it."""
    refusals = _reasons([row for row in rows if row.outcome.came in (Came.REFUSED, Came.UNCOMPARED)])
    faults = _reasons([row for row in rows if row.outcome.came is Came.FAULT])
    return "\n".join([*totals(rows), "", *_by_network(rows), "", *refusals, *(["", *faults] if len(faults) > _HEAD else [])])


_HEAD = 2  # lines of a table without rows


def _by_network(rows: Sequence[Row]) -> list[str]:
    precisions = list(dict.fromkeys(row.group for row in rows if row.group))
    found = {(row.model, row.backend, row.group): row for row in rows}
    lines = [f"| network | path | {' | '.join(precisions)} |", f"|---|---|{'---|' * len(precisions)}"]
    for model, path in dict.fromkeys((row.model, row.backend) for row in rows):
        cells = [_came(found.get((model, path, precision))) for precision in precisions]
        lines.append(f"| {model} | `{path}` | {' | '.join(cells)} |")
    return lines


def _came(row: Row | None) -> str:
    if row is None:
        return "–"
    came, reason = row.outcome.came, row.outcome.reason
    if came is Came.FAR:
        return f"{came.value}, {reason}"
    return f"{came.value} at {row.outcome.where}" if came in (Came.REFUSED, Came.FAULT) else came.value


def _reasons(rows: Sequence[Row]) -> list[str]:
    """One row a reason: those that differ in names and numbers alone are one, told as of the first."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.outcome.where, reason_of(row.outcome.reason)].append(row)
    lines = ["| at | in these words | of |", "|---|---|---|"]
    for (where, _), found in groups.items():
        precisions: dict[str, list[str]] = defaultdict(list)
        for row in found:
            precisions[f"{row.model} `{row.backend}`"].append(row.group)
        told = "; ".join(f"{name} {', '.join(own)}" for name, own in precisions.items())
        lines.append(f"| {where} | {cell(found[0].outcome.reason)} | {told} |")
    return lines
