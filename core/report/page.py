"""The report of one build or of several side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core import __version__
from core.analysis.board import board
from core.analysis.comparison import ComparisonRow, percent, summary
from core.analysis.diff import DiffRow, EngineDiff, diff_engines
from core.base.units import size
from core.report.build import build_body
from core.report.charts import latency_chart, row_title
from core.report.elements import document, folded, milliseconds, notes, number, section, table, tag, text
from core.request.paths import path_title
from core.stages.outcome import Outcome

MOST_DIFFERENCES = 200
BOARD = (
    "build", "precision", "median", "95 % interval", "size", "relative error", "top-1 agrees", "accuracy", "layers", "verdict",
)  # fmt: skip
BOARD_NUMBERS = ("median", "95 % interval", "size", "relative error", "top-1 agrees", "accuracy", "layers")
DIFFERENCES = ("source nodes", "A, ms", "B, ms", "B - A, ms", "layers A", "layers B", "precision A", "precision B")


def report(outcomes: Sequence[Outcome], *, baseline: str | None = None) -> str:
    """An HTML page with everything inside it.

    Args:
        outcomes: One build, or several of one model.
        baseline: Key of the build that several are held against.
    """
    if len(outcomes) == 1:
        outcome = outcomes[0]
        title = f"{outcome.model.name}: {path_title(outcome.build.request.path)} in {outcome.build.request.precision.value}"
        return document(title, _head(title, outcome) + build_body(outcome) + _foot())
    rows = board(outcomes, baseline=baseline)
    title = f"{outcomes[0].model.name}: {len(outcomes)} builds side by side"
    body = _head(title, outcomes[0]) + tag("p", text(summary(rows)), class_="verdict") + _board(rows)
    graphs = [outcome.graph for outcome in outcomes]
    if len(graphs) == 2 and graphs[0] and graphs[1]:
        body += _differences(diff_engines(graphs[0], graphs[1]), rows)
    parts = (folded(row_title(row), build_body(outcome)) for row, outcome in zip(rows, outcomes, strict=True))
    return document(title, body + section("Each build", *parts) + _foot())


def _head(title: str, outcome: Outcome) -> str:
    model = outcome.model
    about = [f"{model.format.label} model", f"{size(model.size_bytes)} on disk", f"digest {model.digest[:12]}"]
    if model.frozen_bytes:
        about.insert(2, f"{size(model.frozen_bytes)} of frozen weights")
    return tag("h1", text(title)) + tag("p", text(" · ".join(about)), class_="quiet")


def _foot() -> str:
    made = time.strftime("%d %B %Y, %H:%M")
    return tag(
        "p", text(f"Made by Engine Room {__version__} on {made}. Nothing in this file is fetched from elsewhere."), class_="quiet"
    )


def _board(rows: Sequence[ComparisonRow]) -> str:
    cells = [
        (
            row.title,
            row.precision.value,
            milliseconds(row.median_ms),
            None if row.low_ms is None else f"{row.low_ms:.4g} to {row.high_ms:.4g}",
            size(row.size_bytes),
            None if row.max_rel is None else f"{row.max_rel:.1e}",
            None if row.top1 is None else percent(row.top1),
            None if row.accuracy is None else percent(row.accuracy),
            row.layers,
            row.verdict,
        )
        for row in sorted(rows, key=lambda row: row.median_ms if row.median_ms is not None else float("inf"))
    ]
    figure = tag("figure", latency_chart(rows))
    paid = [f"{row_title(row)}: {row.payoff.text}" for row in rows if row.payoff]
    told = notes([*paid, *(f"{row_title(row)}: {note}" for row in rows for note in row.notes)])
    return section("Latency, size and parity", figure, table(BOARD, cells, caption="Every build", numbers=BOARD_NUMBERS), told)


def _differences(diff: EngineDiff, rows: Sequence[ComparisonRow]) -> str:
    shown = diff.rows[:MOST_DIFFERENCES]
    told = tag("p", text(f"A is {row_title(rows[0])}, B is {row_title(rows[1])}. The largest difference comes first."))
    left_out = [f"{len(diff.rows) - len(shown):,} smaller differences are left out."] if len(diff.rows) > len(shown) else []
    cells = [_difference(row) for row in shown]
    drawn = table(DIFFERENCES, cells, caption="Source nodes that both engines carry out", numbers=DIFFERENCES[1:6])
    return section("Where they differ", told, drawn, notes([*diff.notes, *left_out]))


def _difference(row: DiffRow) -> tuple[object, ...]:
    return (
        row.title,
        number(row.a_ms),
        number(row.b_ms),
        None if row.delta_ms is None else f"{row.delta_ms:+.4g}",
        len(row.a_layers),
        len(row.b_layers),
        ", ".join(row.a_precisions) or None,
        ", ".join(row.b_precisions) or None,
    )
