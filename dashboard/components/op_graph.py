"""A model's operations as a graph: the selected one with its neighbours, or the whole. It is drawn as layers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import streamlit as st

from core.analysis.colours import SUPPORT_MARKS, ColourBy, Colouring, SupportColouring
from core.analysis.layer_graph import Neighbourhood, layer_edges, neighbourhood, whole
from core.analysis.layers import LayerRow, layer_rows
from core.base.units import plural
from core.graph.engine_graph import EngineGraph
from core.graph.support import NodeSupport, Verdict
from dashboard import links
from dashboard.components.assets import asset
from dashboard.components.layer_graph import draw, label, shows_whole
from dashboard.formatting import plain

HEIGHT = 380
BORDERS = {Verdict.REFUSED: "double", Verdict.UNKNOWN: "dashed"}
NODE = "node"  # of the address: the position of the selected operation
RADIUS = 7


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a target says of the operations."""

    backend: str
    title: str
    nodes: tuple[NodeSupport, ...]

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        return {node.name: node.verdict for node in self.nodes}


_component = st.components.v2.component(
    "op_graph",
    html=asset("op_graph.html"),
    css=asset("layer_graph.css"),
    js=asset("layer_graph.js"),
)


def op_graph(name: str, graph: EngineGraph, told: Told | None = None) -> None:
    """Draws the graph and says what the selected operation reads and writes.

    Args:
        name: Tells this graph from others on the page.
        told: What a target says of the operations, to colour them by; None to colour them by their kind.
    """
    rows, edges = layer_rows(graph), layer_edges(graph)
    key = f"ops-{name}"
    position, shows_all = links.position(NODE, len(rows)) or _first(rows, told), shows_whole(key)
    part = whole(len(rows), edges) if shows_all else neighbourhood(len(rows), edges, position, RADIUS)
    drawn, detail = st.columns([5, 2], gap="medium")
    with drawn:
        data = graph_data(name, graph, rows, part, position, shows_all=shows_all, told=told)
        draw(_component, key, data, rows, select, lambda _: None, missing="No operation has “{}” in its name or kind.")
    with detail:
        _detail(graph, position, told)


def _first(rows: Sequence[LayerRow], told: Told | None) -> int:
    """What is selected before anything was chosen: the first operation that the target refuses, else the first of all."""
    verdicts = told.verdicts if told else {}
    return next((row.position for row in rows if verdicts.get(row.name) is Verdict.REFUSED), 1)


def select(position: int) -> None:
    st.query_params[NODE] = str(position)


def graph_data(
    name: str,
    graph: EngineGraph,
    rows: list[LayerRow],
    part: Neighbourhood,
    position: int,
    *,
    shows_all: bool,
    told: Told | None = None,
) -> dict[str, Any]:
    """What layer_graph.js draws."""
    support = SupportColouring(rows, told.verdicts) if told else None
    colouring = support or Colouring(rows, ColourBy.KIND)
    shown = [rows[number - 1] for number in part.positions]
    return {
        "build": name,
        "selected": position,
        "whole": shows_all,
        "total": len(rows),
        "expandable": False,
        "height": HEIGHT,
        "label": f"{plural(len(shown), 'operation')} of {len(graph.layers):,} and what flows between them. "
        f"Selected: {_told(rows[position - 1], told)}",
        "nodes": [
            {
                "position": row.position,
                "title": label(f"{support.mark(row)} {row.kind}".strip() if support else row.kind),
                "subtitle": label(_place(row)),
                "told": _told(row, told),
                "colour": colouring.colour(row),
                **({"border": BORDERS.get(told.verdicts[row.name]) if row.name in told.verdicts else None} if told else {}),
            }
            for row in shown
        ],
        "edges": part.edges,
        "inside": {},
        "legend": colouring.legend,
        "colouring": told.backend if told else "kind",
    }


def _place(row: LayerRow) -> str:
    """The end of an operation's name that says more than its kind."""
    parts = [part for part in row.name.split("/") if part]
    return next((part for part in reversed(parts) if part.lower() != row.kind.lower()), row.name)


def _told(row: LayerRow, told: Told | None) -> str:
    verdict = f", {told.verdicts[row.name].value} by {told.title}" if told and row.name in told.verdicts else ""
    return f"Operation {row.position}, {row.kind}{verdict}: {row.name}"


def _detail(graph: EngineGraph, position: int, told: Told | None) -> None:
    layer = graph.layers[position - 1]
    st.markdown(f"**{plain(layer.kind)}** · operation {position} of {len(graph.layers):,}")
    st.code(layer.name, language=None, wrap_lines=True)
    if told:
        _verdict(told, layer.name)
    for title, tensors in (("Reads", layer.inputs), ("Writes", layer.outputs)):
        st.caption(title)
        st.code("\n".join(tensor.name for tensor in tensors) or "nothing", language=None, wrap_lines=True)


def _verdict(told: Told, name: str) -> None:
    """What the target says of one operation."""
    node = next((node for node in told.nodes if node.name == name), None)
    if node is None:
        st.caption(f"{told.title} was not asked about it.")
        return
    region = f" · region {node.region}" if node.region else ""
    st.markdown(f"{SUPPORT_MARKS[node.verdict]} {node.verdict.value} by {told.title}{region}")
    if node.reason:
        st.caption(plain(node.reason))
    if node.hint:
        st.caption(f"What to do: {plain(node.hint)}")
