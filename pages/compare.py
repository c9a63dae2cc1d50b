"""Compare: every build of a model on one board, or two of them side by side."""

from __future__ import annotations

import streamlit as st

from core.base.errors import EngineRoomError
from dashboard import links
from dashboard.components.comparison_board import comparison_board
from dashboard.components.comparison_pair import comparison_pair
from dashboard.components.model_picker import choose_model
from dashboard.failures import show_error

if chosen := links.chosen("builds"):
    try:
        comparison_pair(chosen.split(","))
    except EngineRoomError as error:
        st.title("Two builds side by side")
        show_error(error)
        links.link(links.COMPARE, "Compare all builds of a model", icon=":material/bar_chart:")
    st.stop()

st.title("Compare")
if model := choose_model():
    comparison_board(model)
