"""The one selected layer that bar, table and graph share; it lives in the address, so that a link shows the same layer."""

from __future__ import annotations

import streamlit as st

from dashboard.components.layer_view import LayerView

LAYER = "layer"


def selected(view: LayerView) -> int:
    """Position of the selected layer; the one that takes the most time when none was chosen."""
    given = st.query_params.get(LAYER, "")
    return int(given) if given.isdigit() and 1 <= int(given) <= len(view.rows) else view.heaviest


def select(position: int) -> None:
    st.query_params[LAYER] = str(position)
