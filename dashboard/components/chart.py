"""A chart on a page, whose camera button saves the kind of image that the user chose."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.style import config

KEY = "image-format"
FORMATS = ("PNG", "SVG")


def choose_image_format() -> None:
    st.segmented_control(
        "Chart images", FORMATS, default=FORMATS[0], required=True, key=KEY, help="What the camera button of a chart saves."
    )


def show_chart(figure: go.Figure, name: str, alt: str, **more: Any) -> None:
    """Draws it.

    Args:
        name: Of the saved image, without its ending.
        alt: What it shows, for those who do not see it.
        more: As `st.plotly_chart` takes it.
    """
    image = str(st.session_state.get(KEY) or FORMATS[0]).lower()
    st.plotly_chart(figure, config=config(name, image), alt=alt, **more)
