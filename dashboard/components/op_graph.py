"""A model's operations as a graph: the selected one with its neighbours, or the whole. It is drawn as layers are."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.analysis.colours import ColourBy, Colouring
from core.analysis.layer_graph import Neighbourhood, layer_edges, neighbourhood, whole
from core.analysis.layers import LayerRow, layer_rows
from core.base.units import plural
from core.graph.engine_graph import EngineGraph
from dashboard import links
from dashboard.components.assets import asset
from dashboard.components.layer_graph import draw, label, shows_whole

HEIGHT = 380
NODE = "node"  # of the address: the position of the selected operation
RADIUS = 7

_component = st.components.v2.component(
    "op_graph",
    html=asset("op_graph.html"),
    css=asset("layer_graph.css"),
    js=asset("layer_graph.js"),
)


def op_graph(name: str, graph: EngineGraph) -> None:
    """Draws the graph and says what the selected operation reads and writes.

    Args:
        name: Tells this graph from others on the page.
    """
    rows, edges = layer_rows(graph), layer_edges(graph)
    key = f"ops-{name}"
    position, shows_all = links.position(NODE, len(rows)) or 1, shows_whole(key)
    part = whole(len(rows), edges) if shows_all else neighbourhood(len(rows), edges, position, RADIUS)
    drawn, detail = st.columns([5, 2], gap="medium")
    with drawn:
        data = graph_data(name, graph, rows, part, position, shows_all=shows_all)
        draw(_component, key, data, rows, _select, lambda _: None, missing="No operation has “{}” in its name or kind.")
    with detail:
        _detail(graph, position)


def _select(position: int) -> None:
    st.query_params[NODE] = str(position)


def graph_data(
    name: str, graph: EngineGraph, rows: list[LayerRow], part: Neighbourhood, position: int, *, shows_all: bool
) -> dict[str, Any]:
    """What layer_graph.js draws."""
    colouring = Colouring(rows, ColourBy.KIND)
    shown = [rows[number - 1] for number in part.positions]
    return {
        "build": name,
        "selected": position,
        "whole": shows_all,
        "total": len(rows),
        "expandable": False,
        "height": HEIGHT,
        "label": f"{plural(len(shown), 'operation')} of {len(graph.layers):,} and what flows between them. "
        f"Selected: {_told(rows[position - 1])}",
        "nodes": [
            {
                "position": row.position,
                "title": label(row.kind),
                "subtitle": label(_place(row)),
                "told": _told(row),
                "colour": colouring.colour(row),
            }
            for row in shown
        ],
        "edges": part.edges,
        "inside": {},
        "legend": colouring.legend,
    }


def _place(row: LayerRow) -> str:
    """The end of an operation's name that says more than its kind."""
    parts = [part for part in row.name.split("/") if part]
    return next((part for part in reversed(parts) if part.lower() != row.kind.lower()), row.name)


def _told(row: LayerRow) -> str:
    return f"Operation {row.position}, {row.kind}: {row.name}"


def _detail(graph: EngineGraph, position: int) -> None:
    layer = graph.layers[position - 1]
    st.markdown(f"**{layer.kind}** · operation {position} of {len(graph.layers):,}")
    st.code(layer.name, language=None, wrap_lines=True)
    for title, tensors in (("Reads", layer.inputs), ("Writes", layer.outputs)):
        st.caption(title)
        st.code("\n".join(tensor.name for tensor in tensors) or "nothing", language=None, wrap_lines=True)
