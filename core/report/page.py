"""The report of one build or of several side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core import __version__
from core.analysis.board import board
from core.analysis.comparison_row import ComparisonRow, fastest_first
from core.analysis.comparison_summary import summary
from core.analysis.diff import DiffRow, EngineDiff, diff_builds
from core.analysis.memory import cells_of, columns_of
from core.analysis.versus import how_text
from core.base.units import digest, interval, milliseconds, number, percent, scientific, size
from core.report.build import build_body
from core.report.charts import latency_chart
from core.report.elements import document, folded, notes, section, table, tag, text
from core.stages.outcome import Outcome
from core.storage.duels import Duel

MOST_DIFFERENCES = 200
WEAK = "weak"
BOARD = (
    "build", "precision", "median", "95 % interval", "weak", "size", "relative error", "top-1 agrees", "accuracy", "layers",
    "verdict",
)  # fmt: skip
BOARD_NUMBERS = ("median", "95 % interval", "size", "relative error", "top-1 agrees", "accuracy", "layers")
DIFFERENCES = ("source nodes", "A, ms", "B, ms", "B - A, ms", "layers A", "layers B", "precision A", "precision B")


def report(outcomes: Sequence[Outcome], *, duels: Sequence[Duel] = (), baseline: str | None = None) -> str:
    """An HTML page with everything inside it.

    Args:
        outcomes: One build, or several of one model.
        duels: Head-to-heads of this workspace, the newest first.
        baseline: Key of the build that several are held against.
    """
    if len(outcomes) == 1:
        outcome = outcomes[0]
        title = f"{outcome.model.name}: {outcome.build.request.full_title}"
        return document(title, _head(title, outcome) + build_body(outcome) + _foot())
    rows = board(outcomes, duels=duels, baseline=baseline)
    title = f"{outcomes[0].model.name}: {len(outcomes)} builds side by side"
    body = _head(title, outcomes[0]) + tag("p", text(summary(rows)), class_="verdict") + _board(rows)
    if len(outcomes) == 2 and (diff := diff_builds(*outcomes)):
        body += _differences(diff, rows)
    parts = (folded(row.name, build_body(outcome)) for row, outcome in zip(rows, outcomes, strict=True))
    return document(title, body + section("Each build", *parts) + _foot())


def _head(title: str, outcome: Outcome) -> str:
    model = outcome.model
    about = [f"{model.format.label} model", f"{size(model.size_bytes)} on disk", f"digest {digest(model.digest)}"]
    if model.frozen_bytes:
        about.insert(2, f"{size(model.frozen_bytes)} of frozen weights")
    return tag("h1", text(title)) + tag("p", text(" · ".join(about)), class_="quiet")


def _foot() -> str:
    made = time.strftime("%d %B %Y, %H:%M")
    return tag(
        "p", text(f"Made by Engine Room {__version__} on {made}. Nothing in this file is fetched from elsewhere."), class_="quiet"
    )


def _board(rows: Sequence[ComparisonRow]) -> str:
    weak = any(row.candidate.weak for row in rows)
    columns = BOARD if weak else tuple(column for column in BOARD if column != WEAK)
    cells = [_cells(row, weak=weak) for row in fastest_first(rows)]
    figure = tag("figure", latency_chart(rows))
    paid = [f"{row.name}: {row.payoff.text}" for row in rows if row.payoff]
    weakened = [f"{row.name}: {note}" for row in rows for note in row.candidate.notes]
    told = tag("p", text(how_text(row.speedup for row in rows))) + notes([*paid, *weakened])
    return section(
        "Latency, size and parity", figure, table(columns, cells, caption="Every build", numbers=BOARD_NUMBERS), told
    ) + _memory(rows)


def _memory(rows: Sequence[ComparisonRow]) -> str:
    """Where a build tells what it takes of a GPU's memory."""
    columns = columns_of([row.candidate.memory for row in rows])
    if not columns:
        return ""
    cells = [(row.name, *cells_of(row.candidate.memory)) for row in rows]
    drawn = table(("build", *columns), cells, caption="Every build, at its profile's largest shapes", numbers=columns)
    return section("GPU memory", drawn)


def _cells(row: ComparisonRow, *, weak: bool) -> tuple[object, ...]:
    candidate, latency, worst = row.candidate, row.latency, row.candidate.worst
    return (
        candidate.title,
        candidate.precision.value,
        milliseconds(latency.median_ms if latency else None),
        interval(latency.low_ms, latency.high_ms) if latency else None,
        *((candidate.weak or None,) if weak else ()),
        size(candidate.size_bytes),
        scientific(candidate.max_rel),
        percent(worst.top1) if worst else None,
        percent(candidate.accuracy, 4),
        len(candidate.graph.layers) if candidate.graph else None,
        row.verdict,
    )


def _differences(diff: EngineDiff, rows: Sequence[ComparisonRow]) -> str:
    shown = diff.rows[:MOST_DIFFERENCES]
    told = tag("p", text(f"A is {rows[0].name}, B is {rows[1].name}. The largest difference comes first."))
    left_out = [f"{len(diff.rows) - len(shown):,} smaller differences are left out."] if len(diff.rows) > len(shown) else []
    cells = [_difference(row) for row in shown]
    caption = "Stretches of execution that both engines have" if diff.by_layers else "Source nodes that both engines carry out"
    if not diff.rows:
        return section("Where they differ", notes(diff.notes))
    drawn = table(DIFFERENCES, cells, caption=caption, numbers=DIFFERENCES[1:6])
    return section("Where they differ", told, drawn, notes([*diff.notes, *left_out]))


def _difference(row: DiffRow) -> tuple[object, ...]:
    return (
        row.title,
        number(row.a_ms),
        number(row.b_ms),
        None if row.delta_ms is None else f"{'+' if row.delta_ms >= 0 else ''}{number(row.delta_ms)}",
        len(row.a_layers),
        len(row.b_layers),
        ", ".join(row.a_precisions) or None,
        ", ".join(row.b_precisions) or None,
    )
