"""The streams of an engine below the bars of its layers: swim lanes where it has several, a sentence where it has not."""

from __future__ import annotations

import json

import streamlit as st

from core.analysis.colours import Colouring
from core.analysis.streams import Streams, sentences, streams_as_data, summary
from dashboard.charts.streams import lanes_figure
from dashboard.components.chart import chart_key, show_chart
from dashboard.components.layer_bars import shown_span
from dashboard.components.layer_view import LayerView
from dashboard.components.selection import select, selected
from dashboard.formatting import plain

ORDER, TIME = "order", "time"


def stream_lanes(build: str, view: LayerView, colouring: Colouring) -> None:
    if not view.streams:
        st.caption("Streams: not told by this runtime, so nothing says which layers may run at the same time.")
        return
    if not view.several_streams:
        st.caption(f"Streams: {summary(view.streams[0])[:-1]}, none beside another.")
        return
    shown = _chosen(build, view)
    by = _measure(build, shown)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(summary(shown))}**")
        st.download_button(
            "Streams as JSON",
            lambda: json.dumps(streams_as_data(view.streams), indent=2),
            f"streams-{build[:12]}.json",
            "application/json",
            icon=":material/data_object:",
            on_click="ignore",
        )
    schedule = shown.schedule if by == TIME else None
    name = f"streams-{build[:12]}"
    key = chart_key(name)

    def on_select() -> None:
        if points := st.session_state[key]["selection"]["points"]:
            position = points[0].get("customdata")
            select(int(position[0] if isinstance(position, list) else position))

    show_chart(
        lanes_figure(view.rows, shown, colouring, selected(view), shown_span(build, view), schedule),
        name,
        f"{summary(shown)} {' '.join(sentences(shown))} The table below has each layer's stream.",
        on_select=on_select,
        selection_mode="points",
    )
    told = sentences(shown)
    if not shown.schedule:
        told.append("No layer was timed, so the lanes show order, not duration.")
    if not schedule:
        told.append("Shaded are layers that may run at the same time.")
    st.caption(plain(" ".join([*told, "A click selects a layer."])))


def _chosen(build: str, view: LayerView) -> Streams:
    """The streams of the profile that the user chose; at first that of the selected layer."""
    profiles = [one.profile for one in view.streams]
    if len(profiles) == 1:
        return view.streams[0]
    own = view.rows[selected(view) - 1].profile
    start = own if own in profiles else profiles[0]
    chosen = st.segmented_control(
        "Layers of",
        profiles,
        default=start,
        required=True,
        format_func=lambda number: f"profile {number}",
        help="A run executes the layers of one of the engine's optimization profiles.",
        key=f"lanes-{build}-{start}",
    )
    return view.streams[profiles.index(start if chosen is None else chosen)]


def _measure(build: str, shown: Streams) -> str:
    if not shown.schedule:
        return ORDER
    return st.segmented_control("Lanes by", [TIME, ORDER], default=TIME, required=True, key=f"lanes-by-{build}") or TIME
