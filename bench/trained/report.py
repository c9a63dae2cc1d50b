"""What came of them as tables: a row a network and path, a column a precision; then the reasons, in whose words they are."""

from __future__ import annotations

from collections.abc import Sequence

from bench.strangers.attempt import Came
from bench.strangers.report import Row
from bench.strangers.report import text as by_reason


def text(rows: Sequence[Row]) -> str:
    """All of it."""
    return "\n".join([*_by_network(rows), "", by_reason(rows, 1)])


def _by_network(rows: Sequence[Row]) -> list[str]:
    precisions = list(dict.fromkeys(row.group for row in rows if row.group))
    found = {(row.model, row.backend, row.group): row for row in rows}
    lines = [f"| network | path | {' | '.join(precisions)} |", f"|---|---|{'---|' * len(precisions)}"]
    for model, path in dict.fromkeys((row.model, row.backend) for row in rows):
        cells = [_cell(found.get((model, path, precision))) for precision in precisions]
        lines.append(f"| {model} | `{path}` | {' | '.join(cells)} |")
    return lines


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    came, reason = row.outcome.came, row.outcome.reason
    if came is Came.ON_PAR or came is Came.FAR:
        return f"{came.value}, {reason}" if reason else came.value
    return f"{came.value} at {row.outcome.where}" if came in (Came.REFUSED, Came.FAULT) else came.value
