"""Fused layers: the bar in execution order, the graph, the selected layer and the table, with one selection."""

from __future__ import annotations

import streamlit as st

from core.analysis.colours import ColourBy, Colouring
from dashboard.components.layer_bars import layer_bars
from dashboard.components.layer_detail import layer_detail
from dashboard.components.layer_graph import layer_graph
from dashboard.components.layer_table import layer_table
from dashboard.components.layer_view import LayerView, layer_view
from dashboard.components.selection import selected
from dashboard.components.stream_lanes import stream_lanes
from dashboard.formatting import sentence


@st.fragment
def layer_section(build: str) -> None:
    """Runs on its own, so that a selection redraws nothing else of the page."""
    view = layer_view(build)
    if view is None:
        st.info(
            "This build told no layers: the stage that inspects engines has not run or failed. The log says why.",
            icon=":material/layers_clear:",
        )
        return
    if view.doubt:
        st.warning(sentence(view.doubt), icon=":material/timer_off:")
    colouring = Colouring(view.rows, _colour_by(build, view))
    layer_bars(build, view, colouring)
    if not view.timed:
        st.caption("Layer times were not measured: bars count the source nodes in each layer.")
    stream_lanes(build, view, colouring)
    graph, detail = st.columns([5, 2], gap="medium")
    with graph:
        layer_graph(build, view, colouring)
    with detail:
        layer_detail(view, selected(view))
    layer_table(build, view)


def _colour_by(build: str, view: LayerView) -> ColourBy:
    choices = [by for by in ColourBy if view.timed or by is not ColourBy.TIME]
    chosen = st.segmented_control(
        "Colour by", choices, default=choices[0], required=True, format_func=lambda by: by.value, key=f"colour-{build}"
    )
    return chosen or choices[0]
