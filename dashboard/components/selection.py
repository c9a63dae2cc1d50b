"""The one selected layer that bar, table and graph share; it lives in the address, so that a link shows the same layer."""

from __future__ import annotations

import streamlit as st

from dashboard import links
from dashboard.components.layer_view import LayerView

LAYER = "layer"


def selected(view: LayerView) -> int:
    """Position of the selected layer; the one that takes the most time when none was chosen."""
    return links.position(LAYER, len(view.rows)) or view.heaviest


def select(position: int) -> None:
    st.query_params[LAYER] = str(position)
