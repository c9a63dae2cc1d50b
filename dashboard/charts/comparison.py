"""Builds against each other: latency with intervals, latency against size or error, and where two engines differ."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from enum import Enum

import plotly.graph_objects as go

from core.analysis.candidate import Candidate
from core.analysis.colours import ACCENT, GREY, PRECISIONS
from core.analysis.comparison_row import ComparisonRow, Standing, by_latency
from core.analysis.diff import DiffRow
from core.base.precision import Precision
from core.base.units import interval, milliseconds, scientific, shortened, size
from core.benchmark.latency import Latency
from core.report.charts import ticks_to_powers
from dashboard.charts.style import calm
from dashboard.formatting import drawn

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
    measured = by_latency(rows)
    figure = go.Figure()
    for precision in Precision:
        own = [(row, latency) for row, latency in measured if row.candidate.precision is precision]
        if own:
            figure.add_scatter(
                name=precision.value,
                x=[latency.median_ms for _, latency in own],
                y=[_wrapped(row) for row, _ in own],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [latency.high_ms - latency.median_ms for _, latency in own],
                    "arrayminus": [latency.median_ms - latency.low_ms for _, latency in own],
                    "thickness": 5,
                    "width": 0,
                },
                mode="markers+text",
                text=[f"  {milliseconds(latency.median_ms)}" for _, latency in own],
                textposition="middle right",
                cliponaxis=False,
                customdata=[row.key for row, _ in own],
                hovertext=[_told(row, latency) for row, latency in own],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"size": 11, "color": PRECISIONS[precision], "symbol": [_symbol(row) for row, _ in own]},
            )
    values = [value for _, latency in measured for value in (latency.low_ms, latency.high_ms) if value]
    powers = bool(values) and max(values) / min(values) > POWERS_FROM
    figure.update_layout(
        xaxis={"title": "Median, ms, 95 % interval" + (" (logarithmic)" if powers else "")},
        yaxis={
            "categoryorder": "array",
            "categoryarray": [_wrapped(row) for row, _ in reversed(measured)],
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
    both = [(row, latency, other) for row, latency in by_latency(rows) if (other := _other(row.candidate, against)) is not None]
    for precision in Precision:
        own = [one for one in both if one[0].candidate.precision is precision]
        if own:
            figure.add_scatter(
                name=precision.value,
                x=[other for *_, other in own],
                y=[latency.median_ms for _, latency, _ in own],
                mode="markers",
                customdata=[row.key for row, *_ in own],
                hovertext=[_told(row, latency) for row, latency, _ in own],
                hovertemplate="%{hovertext}<extra></extra>",
                marker={"size": 13, "color": PRECISIONS[precision], "symbol": [_symbol(row) for row, *_ in own]},
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
    labels = [f"{index}. {drawn(shortened(row.title, 44))}" for index, row in enumerate(shown, 1)]
    figure = go.Figure()
    for name, colour, times in (
        (f"A: {drawn(a)}", GREY, [row.a_ms for row in shown]),
        (f"B: {drawn(b)}", ACCENT, [row.b_ms for row in shown]),
    ):
        figure.add_bar(
            name=name,
            y=labels,
            x=times,
            orientation="h",
            marker={"color": colour},
            hovertext=[f"{label}<br>{milliseconds(time)}" for label, time in zip(labels, times, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        yaxis={"autorange": "reversed", "automargin": True},
        xaxis={"title": "ms a run, of the layers that carry these nodes out"},
    )
    return calm(figure, 110 + 34 * max(2, len(shown))).update_layout(bargap=0.25)


def _wrapped(row: ComparisonRow) -> str:
    """The title in lines that leave room for the chart on a narrow screen."""
    return "<br>".join(drawn(line) for line in textwrap.wrap(row.name, LABEL_LETTERS))


def _other(candidate: Candidate, against: Against) -> float | None:
    if against is Against.SIZE:
        return candidate.size_bytes / 1e6 if candidate.size_bytes is not None else None
    return candidate.max_rel or None


def _symbol(row: ComparisonRow) -> str:
    """Hollow for a weak figure."""
    symbol = SYMBOLS.get(row.standing, "circle")
    return f"{symbol}-open" if row.candidate.weak else symbol


def _told(row: ComparisonRow, latency: Latency) -> str:
    candidate = row.candidate
    held = f"<br>{size(candidate.size_bytes)}" if candidate.size_bytes is not None else ""
    error = f"<br>relative error {scientific(candidate.max_rel)}" if candidate.max_rel is not None else ""
    median = f"{milliseconds(latency.median_ms)} ({interval(latency.low_ms, latency.high_ms)})"
    weak = f"<br>weak: {candidate.weak}" if candidate.weak else ""
    return f"<b>{drawn(row.name)}</b><br>{median}{weak}{held}{error}<br>{drawn(row.verdict)}"
