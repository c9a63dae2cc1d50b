"""What an engine takes of a GPU's memory: with N contexts, and along the largest length of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import plotly.graph_objects as go

from core.analysis.colours import ACCENT, CATEGORICAL, GREY
from core.analysis.comparison_row import ComparisonRow
from core.analysis.memory import ContextRow, context_rows
from core.analysis.profiles import ProfilePoint
from core.base.units import plural, size
from dashboard.charts.style import calm
from dashboard.formatting import drawn

HEIGHT = 240
SUM = CATEGORICAL[1]
ROW_HEIGHT = 34
LABEL_LETTERS, LINE = 44, 15


def contexts_figure(rows: Sequence[ContextRow]) -> go.Figure:
    """A bar for each number of contexts: the weights, and the contexts upon them."""
    told = [row for row in rows if row.device_bytes is not None]
    names = [plural(row.contexts, "context") for row in told]
    figure = go.Figure()
    for name, colour, parts in (
        ("weights", GREY, [row.weights_bytes or 0 for row in told]),
        ("contexts", ACCENT, [row.contexts_bytes or 0 for row in told]),
    ):
        figure.add_bar(
            name=name,
            x=names,
            y=[part / 1e6 for part in parts],
            marker={"color": colour},
            hovertext=[f"{who}<br>{size(part)} of {name}" for who, part in zip(names, parts, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    figure.add_scatter(
        x=names,
        y=[(row.device_bytes or 0) / 1e6 for row in told],
        mode="text",
        text=[size(row.device_bytes) for row in told],
        textposition="top center",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    highest = max(((row.device_bytes or 0) / 1e6 for row in told), default=0.0)
    figure.update_layout(barmode="stack", yaxis={"title": "MB of the GPU's memory", "range": [0, 1.15 * highest or 1]})
    figure.update_xaxes(fixedrange=True)
    return calm(figure, HEIGHT).update_layout(bargap=0.45)


def builds_figure(rows: Sequence[ComparisonRow], contexts: int) -> go.Figure:
    """A bar for each build that tells its memory: the weights, and so many contexts beside them; the smallest on top."""
    told = [(row, one) for row in rows if row.candidate.memory for one in context_rows(row.candidate.memory, [contexts])]
    known = sorted((pair for pair in told if pair[1].device_bytes is not None), key=lambda pair: pair[1].device_bytes or 0)
    lines = [wrap(row.name, LABEL_LETTERS) for row, _ in known]
    names = ["<br>".join(drawn(part) for part in parts) for parts in lines]
    figure = go.Figure()
    for name, colour, parts in (
        ("weights", GREY, [one.weights_bytes or 0 for _, one in known]),
        (plural(contexts, "context"), ACCENT, [one.contexts_bytes or 0 for _, one in known]),
    ):
        figure.add_bar(
            name=name,
            y=names,
            x=[part / 1e6 for part in parts],
            orientation="h",
            marker={"color": colour},
            hovertext=[f"{who}<br>{size(part)} of {name}" for who, part in zip(names, parts, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    figure.add_scatter(
        y=names,
        x=[(one.device_bytes or 0) / 1e6 for _, one in known],
        mode="text",
        text=[f"  {size(one.device_bytes)}" for _, one in known],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    highest = max(((one.device_bytes or 0) / 1e6 for _, one in known), default=0.0)
    figure.update_layout(
        barmode="stack",
        xaxis={"title": "MB of the GPU's memory", "range": [0, 1.15 * highest or 1]},
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
    )
    height = max(ROW_HEIGHT, LINE * max(map(len, lines), default=1) + 8)
    return calm(figure, 100 + height * max(2, len(known))).update_layout(bargap=0.35)


def curve_figure(points: Sequence[ProfilePoint], axis: str) -> go.Figure:
    """Activations, and the whole with one context, by the largest length of an axis; the chosen build is filled."""
    figure = go.Figure()
    for name, colour, values in (
        ("activations", ACCENT, [point.activation_bytes for point in points]),
        ("weights and one context", SUM, [point.memory.device_bytes(1) if point.memory else None for point in points]),
    ):
        known = [(point, value) for point, value in zip(points, values, strict=True) if value is not None]
        figure.add_scatter(
            name=name,
            x=[point.length for point, _ in known],
            y=[value / 1e6 for _, value in known],
            mode="lines+markers",
            line={"color": colour, "width": 1.5},
            marker={"size": 10, "color": colour, "symbol": ["diamond" if point.is_chosen else "circle" for point, _ in known]},
            customdata=[point.key for point, _ in known],
            hovertext=[_told(point, name, value) for point, value in known],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": f"Largest {drawn(axis)} of the profile", "rangemode": "tozero"},
        yaxis={"title": "MB of the GPU's memory", "rangemode": "tozero"},
    )
    return calm(figure, HEIGHT)


def _told(point: ProfilePoint, name: str, value: int) -> str:
    return f"<b>{drawn(point.text)}</b>{', this build' if point.is_chosen else ''}<br>{size(value)} of {name}"
