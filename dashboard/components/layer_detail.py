"""Everything known of the selected layer."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.analysis.layers import time_text
from core.base.units import UNKNOWN, plural
from core.graph.engine_graph import Layer
from dashboard.components.layer_table import tensor_frame
from dashboard.components.layer_view import LayerView
from dashboard.components.tables import table_height
from dashboard.formatting import plain, visible


def layer_detail(view: LayerView, position: int) -> None:
    row, layer = view.rows[position - 1], view.graph.layers[position - 1]
    st.markdown(f"**Layer {position} of {len(view.rows):,}**")
    st.text(visible(layer.name))
    facts = {
        "Kind": layer.kind,
        "Kernel": layer.kernel or "not told by the runtime",
        "Precision": layer.precision or "not told by the runtime",
        "Time": time_text(row.time_ms, row.share),
        **_streams(view, position),
    }
    st.markdown("  \n".join(f"{name}: **{plain(value)}**" for name, value in facts.items()))
    _sources(view, layer)
    _tensors(layer)
    if layer.attributes:
        with st.expander(f"Attributes · {len(layer.attributes)}"):
            st.dataframe(
                pd.DataFrame({"Attribute": list(layer.attributes), "Value": list(layer.attributes.values())}),
                hide_index=True,
                placeholder=UNKNOWN,
                alt="Attributes of the layer",
            )


def _streams(view: LayerView, position: int) -> dict[str, str]:
    """Where an engine has several streams: which one, and what the layer signals or waits for."""
    own = next((one for one in view.streams if one.profile == view.rows[position - 1].profile), None)
    if own is None or not view.several_streams:
        return {}
    facts = {"Stream": str(view.rows[position - 1].stream)}
    if own.profile is not None:
        facts["Profile"] = str(own.profile)
    for link in own.links:
        if link.signal == position:
            facts["Signals"] = f"event {link.event}, for which layer {link.wait} waits"
        elif link.wait == position:
            facts["Waits"] = f"for event {link.event}, which layer {link.signal} signals"
    if beside := {one for lap in own.overlaps if position in lap.layers for one in lap.beside}:
        facts["May run beside"] = f"layers {', '.join(map(str, sorted(beside)))}"
    return facts


def _sources(view: LayerView, layer: Layer) -> None:
    if not layer.source_nodes:
        st.caption("No source node: the runtime added this layer, or does not tell what is in it.")
        return
    st.markdown(f"**{plural(len(layer.source_nodes), 'source node')}**, in source order")
    ops = [view.nodes[name].op if name in view.nodes else None for name in layer.source_nodes]
    st.dataframe(
        pd.DataFrame({"Op": ops, "Node": layer.source_nodes}),
        hide_index=True,
        placeholder=UNKNOWN,
        height=table_height(len(ops), 250),
        alt="Source nodes fused into the layer",
    )


def _tensors(layer: Layer) -> None:
    with st.expander(f"Tensors · {len(layer.inputs)} in, {len(layer.outputs)} out"):
        for title, tensors in (("In", layer.inputs), ("Out", layer.outputs)):
            if tensors:
                st.caption(title)
                st.dataframe(tensor_frame(tensors), hide_index=True, placeholder=UNKNOWN, alt=f"Tensors {title.lower()}")
