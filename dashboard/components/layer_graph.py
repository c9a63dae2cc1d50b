"""The graph of layers: the selected one with its neighbours, each of which opens into its source nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.analysis.colours import Colouring
from core.analysis.layer_graph import Neighbourhood, inside, neighbourhood, next_match, whole
from core.analysis.layers import LayerRow, time_text
from core.base.units import milliseconds, percent, plural, shortened
from dashboard.components.assets import asset
from dashboard.components.layer_view import LayerView
from dashboard.components.selection import select, selected
from dashboard.formatting import plain

HEIGHT = 400
WIDTH_IN_LETTERS = 24

_component = st.components.v2.component(
    "layer_graph",
    html=asset("layer_graph.html"),
    css=asset("layer_graph.css"),
    js=asset("layer_graph.js"),
)


def layer_graph(build: str, view: LayerView, colouring: Colouring) -> None:
    """Draws the graph; what the user does in it changes the selection, or what is shown."""
    key = f"graph-{build}"
    opened: set[int] = st.session_state.setdefault(f"{key}-opened", set())
    position, shows_all = selected(view), shows_whole(key)
    part = whole(len(view.rows), view.edges) if shows_all else neighbourhood(len(view.rows), view.edges, position)

    def expand(layer: int) -> None:
        opened.symmetric_difference_update({layer})
        select(layer)

    data = graph_data(build, view, colouring, part, position, opened, shows_all=shows_all)
    draw(_component, key, data, view.rows, select, expand, missing="No layer and no source node has “{}” in its name.")


def shows_whole(key: str) -> bool:
    """Whether the user asked for the whole of the graph with that key."""
    return bool(st.session_state.get(f"{key}-whole"))


def draw(
    component: Callable[..., object],
    key: str,
    data: dict[str, Any],
    rows: Sequence[LayerRow],
    select: Callable[[int], None],
    expand: Callable[[int], None],
    *,
    missing: str,
) -> None:
    """Draws a graph by layer_graph.js, and does what the user asks for in it.

    Args:
        select: Selects a row by its position.
        expand: Opens or closes one.
        missing: What to say when a search finds nothing; `{}` is where the text goes.
    """

    def told(name: str) -> Any:
        return st.session_state[key].get(name)

    def on_whole() -> None:
        st.session_state[f"{key}-whole"] = bool(told("whole")["on"])

    def on_find() -> None:
        text = str(told("find")["text"])
        found = next_match(rows, text, data["selected"])
        if found is None:
            st.toast(plain(missing.format(text)), icon=":material/search_off:")
        else:
            select(found)

    component(
        key=key,
        data=data,
        on_layer_change=lambda: select(int(told("layer"))),
        on_expand_change=lambda: expand(int(told("expand")["layer"])),
        on_whole_change=on_whole,
        on_find_change=on_find,
    )


def graph_data(
    build: str,
    view: LayerView,
    colouring: Colouring,
    part: Neighbourhood,
    position: int,
    opened: set[int],
    *,
    shows_all: bool,
) -> dict[str, Any]:
    """What layer_graph.js draws."""
    row = view.rows[position - 1]
    shown = [view.rows[number - 1] for number in part.positions]
    return {
        "build": build,
        "selected": position,
        "whole": shows_all,
        "total": len(view.rows),
        "expandable": bool(row.source_nodes),
        "height": HEIGHT,
        "label": f"{plural(len(shown), 'layer')} of {len(view.rows):,} and what flows between them. Selected: {_told(row)}",
        "nodes": [_node(row, view, colouring) for row in shown],
        "edges": part.edges,
        "inside": {number: _inside(number, view) for number in sorted(opened & set(part.positions))},
        "legend": colouring.legend,
    }


def _node(row: LayerRow, view: LayerView, colouring: Colouring) -> dict[str, Any]:
    time = [f"{milliseconds(row.time_ms)} · {percent(row.share)}"] if row.time_ms is not None else []
    return {
        "position": row.position,
        "title": label(f"{row.position} · {row.kind}"),
        "subtitle": "\n".join([label(_work(row, view)), *time]),
        "told": _told(row),
        "colour": colouring.colour(row),
    }


def _work(row: LayerRow, view: LayerView) -> str:
    """The ops of a layer's source nodes; the end of its own name where it has none."""
    ops = [view.nodes[name].op for name in row.source_nodes if name in view.nodes]
    if not ops:
        return row.name.rsplit("/", 1)[-1]
    if len(ops) <= 3:
        return " + ".join(ops)
    return f"{len(ops)} nodes: {', '.join(op for op, _ in Counter(ops).most_common(2))}"


def _told(row: LayerRow) -> str:
    parts = [f"Layer {row.position}", row.kind, row.precision or ""]
    if row.time_ms is not None:
        parts.append(time_text(row.time_ms, row.share))
    parts.append(plural(len(row.source_nodes), "source node") if row.source_nodes else "no source node")
    return f"{', '.join(part for part in parts if part)}: {row.name}"


def _inside(position: int, view: LayerView) -> dict[str, Any]:
    found = inside(view.graph.layers[position - 1], view.nodes)
    nodes = [{"label": label(node.op), "name": f"{node.op}: {node.name}"} for node in found.nodes]
    if found.more:
        nodes.append({"label": f"and {found.more} more", "name": "The panel beside the graph lists them all."})
    return {"nodes": nodes, "edges": found.edges}


def label(text: str) -> str:
    """As much of it as a box of the graph has room for."""
    return shortened(text, WIDTH_IN_LETTERS)
