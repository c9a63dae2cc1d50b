"""What all figures share."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "displayModeBar": True,
    "scrollZoom": False,
    "modeBarButtonsToRemove": ["toImage", "select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
}


def calm(figure: go.Figure, height: int) -> go.Figure:
    """The legend above the chart, the buttons above the legend, so that they never meet on a narrow screen."""
    figure.update_layout(
        height=height + 26,
        margin={"l": 8, "r": 8, "t": 62, "b": 8},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "title": None},
        bargap=0.0,
        hoverlabel={"align": "left"},
    )
    return figure
