"""A plotly chart on a page, with buttons that save it as an image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.style import CONFIG

_HERE = Path(__file__).parent


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


_saving = st.components.v2.component(
    "plotly_saving",
    html=_text("plotly_saving.html"),
    css=_text("chart_saving.css"),
    js=_text("chart_saving.js") + _text("plotly_saving.js"),
)


def show_chart(figure: go.Figure, name: str, alt: str, **more: Any) -> None:
    """Draws it.

    Args:
        name: Of the saved image, without its ending; also tells this chart from others on the page.
        alt: What it shows, for those who do not see it.
        more: As `st.plotly_chart` takes it.
    """
    key = re.sub(r"[^a-z0-9]+", "-", f"chart-{name}".lower())
    with st.container(gap=None):
        st.plotly_chart(figure, config=CONFIG, alt=alt, key=key, **more)
        _saving(key=f"{key}-saving", data={"chart": f"st-key-{key}", "name": name})
