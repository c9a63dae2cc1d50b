"""A plotly chart on a page, with buttons that save it as an image."""

from __future__ import annotations

import re
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.style import CONFIG
from dashboard.components.assets import asset

_saving = st.components.v2.component(
    "plotly_saving",
    html=asset("plotly_saving.html"),
    css=asset("chart_saving.css"),
    js=asset("chart_saving.js", "plotly_saving.js"),
)


def chart_key(name: str) -> str:
    """Under which the session keeps the chart of that name."""
    return re.sub(r"[^a-z0-9]+", "-", f"chart-{name}".lower())


def show_chart(figure: go.Figure, name: str, alt: str, **more: Any) -> None:
    """Draws it.

    Args:
        name: Of the saved image, without its ending; also tells this chart from others on the page.
        alt: What it shows, for those who do not see it.
        more: As `st.plotly_chart` takes it.
    """
    key = chart_key(name)
    with st.container(gap=None):
        st.plotly_chart(figure, config=CONFIG, alt=alt, key=key, **more)
        _saving(key=f"{key}-saving", data={"chart": f"st-key-{key}", "name": name})
