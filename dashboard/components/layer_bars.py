"""The bars of layers in execution order: a click selects a layer, a drag shows some of them alone."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.analysis.colours import Colouring
from core.base.units import plural
from dashboard.charts.layers import Span, bars_data
from dashboard.components.assets import asset
from dashboard.components.layer_view import LayerView
from dashboard.components.selection import select, selected

_component = st.components.v2.component(
    "layer_bars",
    html=asset("layer_bars.html"),
    css=asset("chart_saving.css", "layer_bars.css"),
    js=asset("chart_saving.js", "layer_bars.js"),
)


def _kept(build: str) -> str:
    return f"bars-{build}-span"


def shown_span(build: str, view: LayerView) -> Span | None:
    """The layers that the user has asked to see alone; forgotten once another layer is selected."""
    span: Span | None = st.session_state.get(_kept(build))
    if span and not span.first <= selected(view) <= span.last:
        span = st.session_state[_kept(build)] = None
    return span


def layer_bars(build: str, view: LayerView, colouring: Colouring) -> None:
    key, kept = f"bars-{build}", _kept(build)
    position, span = selected(view), shown_span(build, view)

    def told(name: str) -> Any:
        return st.session_state[key].get(name)

    def on_layer() -> None:
        select(int(told("layer")))

    def on_range() -> None:
        given = told("range")
        first, last = (min(max(int(given.get(name, 0)), 0), len(view.rows)) for name in ("first", "last"))
        st.session_state[kept] = Span(first=first, last=last) if 0 < first <= last else None
        if first and not first <= position <= last:
            shown = view.rows[first - 1 : last]
            select(max(shown, key=lambda row: (row.time_ms or 0.0, len(row.source_nodes))).position)

    what = "time" if view.timed else "source nodes"
    data = bars_data(view.rows, colouring, position, span)
    label = f"{what.capitalize()} of {plural(len(view.rows), 'layer')} in execution order. The table below has the same figures."
    _component(
        key=key,
        data={**data, "label": label, "name": f"layers-{build[:12]}"},
        on_layer_change=on_layer,
        on_range_change=on_range,
    )
