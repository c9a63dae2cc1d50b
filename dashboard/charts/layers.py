"""Layers in execution order as bars, and totals by precision or kind."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from core.analysis.bars import LayerBar, layer_bars
from core.analysis.colours import Colouring
from core.analysis.layers import LayerRow
from dashboard.charts.style import calm

HEIGHT = 250
SELECTED = "#1583a0"


def layers_figure(rows: Sequence[LayerRow], colouring: Colouring, selected: int | None = None) -> go.Figure:
    """A bar a layer: its time where layers were timed, else the source nodes in it. A point's `customdata` is the position."""
    bars = layer_bars(rows, colouring.category)
    timed = any(bar.time_ms is not None for bar in bars)
    figure = go.Figure()
    for category, colour in colouring.legend.items():
        own = [bar for bar in bars if bar.category == category]
        if own:
            figure.add_bar(
                name=category,
                x=[(bar.first + bar.last) / 2 for bar in own],
                y=[_height(bar, timed=timed) for bar in own],
                width=[bar.last - bar.first + 0.86 for bar in own],
                customdata=[bar.heaviest for bar in own],
                text=[_told(bar) for bar in own],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
                marker={"color": colour, "line": {"width": 0}},
                selected={"marker": {"opacity": 1}},
                unselected={"marker": {"opacity": 1}},
            )
    if chosen := next((bar for bar in bars if selected is not None and bar.first <= selected <= bar.last), None):
        figure.add_vrect(
            x0=chosen.first - 0.5, x1=chosen.last + 0.5, fillcolor=SELECTED, opacity=0.25, line={"width": 1, "color": SELECTED}
        )
    each = bars[0].last - bars[0].first + 1
    unit = "ms a run" if timed else "source nodes"
    figure.update_layout(
        barmode="overlay",
        showlegend=True,
        clickmode="event+select",
        dragmode="zoom",
        xaxis={"title": "Layers in the order of execution" + (f", {each} a bar" if each > 1 else ""), "rangemode": "nonnegative"},
        yaxis={"title": unit, "rangemode": "tozero", "fixedrange": True},
    )
    return calm(figure, HEIGHT)


def _height(bar: LayerBar, *, timed: bool) -> float:
    return (bar.time_ms or 0.0) if timed else bar.nodes


def _told(bar: LayerBar) -> str:
    which = f"Layer {bar.first}" if bar.first == bar.last else f"Layers {bar.first} to {bar.last}, heaviest {bar.heaviest}"
    name = bar.name if len(bar.name) <= 60 else f"{bar.name[:59]}…"
    time = "not measured" if bar.time_ms is None else f"{bar.time_ms:.4g} ms, {100 * (bar.share or 0):.1f} % of the time"
    return f"<b>{which}</b><br>{name}<br>{time}<br>{bar.nodes} source nodes<br>{bar.category}"
