"""How often each op occurs in a model, as bars."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from core.analysis.colours import ACCENT, GREY
from dashboard.charts.style import calm
from dashboard.formatting import drawn

SHOWN = 12
BAR_PIXELS = 24


def ops_figure(ops: Mapping[str, int]) -> go.Figure:
    """The most frequent ops, the others as one bar below them."""
    most = sorted(ops.items(), key=lambda item: (-item[1], item[0]))
    shown, others = most[:SHOWN], most[SHOWN:]
    names = [drawn(name) for name, _ in shown] + ([f"{len(others)} other kinds"] if others else [])
    counts = [count for _, count in shown] + ([sum(count for _, count in others)] if others else [])
    figure = go.Figure(
        go.Bar(
            x=counts,
            y=names,
            orientation="h",
            text=[f"{count:,}" for count in counts],
            textposition="auto",
            textangle=0,
            marker={"color": [ACCENT] * len(shown) + [GREY] * bool(others)},
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    calm(figure, BAR_PIXELS * len(names) + 40)
    figure.update_layout(bargap=0.25, dragmode=False, margin={"l": 8, "r": 8, "t": 26, "b": 8})
    figure.update_yaxes(autorange="reversed", ticksuffix=" ", fixedrange=True)
    return figure.update_xaxes(visible=False, fixedrange=True)
