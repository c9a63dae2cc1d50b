"""Builds against each other: latency with intervals, latency against size or error, and where two engines differ."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from enum import Enum

import plotly.graph_objects as go

from core.analysis.colours import ACCENT, GREY, PRECISIONS
from core.analysis.comparison import ComparisonRow, Standing
from core.analysis.diff import DiffRow
from core.base.precision import Precision
from core.report.charts import row_title, ticks_to_powers
from dashboard.charts.style import calm

ROW_HEIGHT = 34
POWERS_FROM = 20
DIFFERENCES = 20
LABEL_LETTERS = 26
SYMBOLS = {Standing.BASELINE: "diamond", Standing.WRONG: "x", Standing.FASTER: "circle"}


class Against(str, Enum):
    """What latency is drawn against."""

    SIZE = "engine size"
    ERROR = "relative error"


def latency_figure(rows: Sequence[ComparisonRow]) -> go.Figure:
    """A dot for each median with its 95 % interval, the fastest on top."""
    measured = sorted((row for row in rows if row.median_ms is not None), key=lambda row: row.median_ms or 0.0)
    figure = go.Figure()
    for precision in Precision:
        own = [row for row in measured if row.precision is precision]
        if own:
            medians = [row.median_ms or 0.0 for row in own]
            figure.add_scatter(
                name=precision.value,
                x=medians,
                y=[_wrapped(row) for row in own],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [(row.high_ms or 0.0) - median for row, median in zip(own, medians, strict=True)],
                    "arrayminus": [median - (row.low_ms or 0.0) for row, median in zip(own, medians, strict=True)],
                    "thickness": 5,
                    "width": 0,
                },
                mode="markers+text",
                text=[f"  {median:.3g} ms" for median in medians],
                textposition="middle right",
                cliponaxis=False,
                customdata=[row.key for row in own],
                hovertext=[_told(row) for row in own],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"size": 11, "color": PRECISIONS[precision], "symbol": [_symbol(row) for row in own]},
            )
    values = [value for row in measured for value in (row.low_ms, row.high_ms) if value]
    powers = bool(values) and max(values) / min(values) > POWERS_FROM
    figure.update_layout(
        xaxis={"title": "Median, ms, 95 % interval" + (" (logarithmic)" if powers else "")},
        yaxis={
            "categoryorder": "array",
            "categoryarray": [_wrapped(row) for row in reversed(measured)],
            "automargin": True,
            "showgrid": False,
        },
        showlegend=True,
    )
    if powers:
        ticks = ticks_to_powers(min(values), max(values))
        span = [math.log10(ticks[0]), math.log10(ticks[-1]) + 0.4]
        figure.update_xaxes(type="log", range=span, tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    elif values:
        figure.update_xaxes(range=[0, 1.2 * max(values)])
    return calm(figure, 110 + ROW_HEIGHT * max(2, len(measured)))


def scatter_figure(rows: Sequence[ComparisonRow], against: Against) -> go.Figure:
    """Latency against size or error: what lies low and left is better at both."""
    figure = go.Figure()
    for precision in Precision:
        own = [
            row for row in rows if row.precision is precision and row.median_ms is not None and _other(row, against) is not None
        ]
        if own:
            figure.add_scatter(
                name=precision.value,
                x=[_other(row, against) for row in own],
                y=[row.median_ms for row in own],
                mode="markers",
                customdata=[row.key for row in own],
                hovertext=[_told(row) for row in own],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"size": 13, "color": PRECISIONS[precision], "symbol": [_symbol(row) for row in own]},
            )
    title = "Engine size, MB" if against is Against.SIZE else "Relative error of the worst output"
    figure.update_layout(xaxis={"title": title}, yaxis={"title": "Median latency, ms", "rangemode": "tozero"}, showlegend=True)
    if against is Against.ERROR:
        figure.update_xaxes(type="log", exponentformat="power")
    else:
        figure.update_xaxes(rangemode="tozero")
    return calm(figure, 360)


def differences_figure(rows: Sequence[DiffRow], a: str, b: str) -> go.Figure:
    """The largest differences in time, the largest on top."""
    shown = [row for row in rows if row.delta_ms is not None][:DIFFERENCES]
    labels = [f"{index}. {_cut(row.title)}" for index, row in enumerate(shown, 1)]
    figure = go.Figure()
    for name, colour, times in ((f"A: {a}", GREY, [row.a_ms for row in shown]), (f"B: {b}", ACCENT, [row.b_ms for row in shown])):
        figure.add_bar(
            name=name,
            y=labels,
            x=times,
            orientation="h",
            marker={"color": colour},
            hovertemplate="%{y}<br>%{x:.4g} ms<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        yaxis={"autorange": "reversed", "automargin": True},
        xaxis={"title": "ms a run, of the layers that carry these nodes out"},
    )
    return calm(figure, 110 + 34 * max(2, len(shown))).update_layout(bargap=0.25)


def _wrapped(row: ComparisonRow) -> str:
    """The title in lines that leave room for the chart on a narrow screen."""
    return "<br>".join(textwrap.wrap(row_title(row), LABEL_LETTERS))


def _other(row: ComparisonRow, against: Against) -> float | None:
    if against is Against.SIZE:
        return row.size_bytes / 1e6 if row.size_bytes is not None else None
    return row.max_rel or None


def _symbol(row: ComparisonRow) -> str:
    return SYMBOLS.get(row.standing, "circle")


def _told(row: ComparisonRow) -> str:
    size = f"<br>{row.size_bytes / 1e6:.1f} MB" if row.size_bytes is not None else ""
    error = f"<br>relative error {row.max_rel:.1e}" if row.max_rel is not None else ""
    interval = f"{row.median_ms:.4g} ms ({row.low_ms:.4g} to {row.high_ms:.4g})"
    return f"<b>{row_title(row)}</b><br>{interval}{size}{error}<br>{row.verdict}"


def _cut(text: str, length: int = 44) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
