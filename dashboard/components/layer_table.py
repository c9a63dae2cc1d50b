"""Layers and source nodes as tables with a filter; a row selects its layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.analysis.layer_graph import matching
from core.analysis.layers import LayerRow
from core.analysis.sources import IN_A_LAYER, SourceRow, source_rows
from core.base.units import lengths, plural
from core.graph.engine_graph import LayerTensor
from dashboard.components.layer_view import LayerView
from dashboard.components.selection import select, selected
from dashboard.components.tables import table_height
from dashboard.formatting import plain, sentence

HEIGHT = 420


def layer_table(build: str, view: LayerView) -> None:
    """Every layer in execution order; the selected row is the selected layer."""
    text = st.text_input(
        "Filter layers",
        key=f"layer-filter-{build}",
        placeholder="Name, kind, kernel, precision or source node",
        icon=":material/search:",
        label_visibility="collapsed",
    )
    rows = matching(view.rows, text)
    if not rows:
        st.info(f"No layer matches “{plain(text)}”.", icon=":material/search_off:")
        return
    key = f"layer-table-{build}"

    def on_select() -> None:
        if chosen := st.session_state[key]["selection"]["rows"]:
            select(rows[chosen[0]].position)

    here = [index for index, row in enumerate(rows) if row.position == selected(view)]
    st.session_state[key] = {"selection": {"rows": here, "columns": []}}
    st.dataframe(
        _shown(rows, timed=view.timed, several_streams=view.several_streams),
        key=key,
        on_select=on_select,
        selection_mode="single-row",
        hide_index=True,
        height=table_height(len(rows), HEIGHT),
        column_config=_columns(view),
        placeholder="–",
        alt=f"{plural(len(rows), 'layer')} in execution order",
    )
    st.caption(f"{plural(len(rows), 'layer')} of {len(view.rows):,}. Select a row to see it in the chart and the graph.")


def layer_frame(rows: Sequence[LayerRow], *, timed: bool = True) -> pd.DataFrame:
    """What the table shows and the CSV file holds."""
    frame = pd.DataFrame(
        {
            "#": [row.position for row in rows],
            "Layer": [row.name for row in rows],
            "Kind": [row.kind for row in rows],
            "Precision": [row.precision for row in rows],
            "Stream": pd.array([row.stream for row in rows], dtype="Int64"),
            "Time, ms": pd.array([row.time_ms for row in rows], dtype="Float64"),
            "Share": pd.array([None if row.share is None else 100 * row.share for row in rows], dtype="Float64"),
            "Nodes": [len(row.source_nodes) for row in rows],
            "Source nodes": [" + ".join(row.source_nodes) for row in rows],
            "Kernel": pd.array([row.kernel for row in rows], dtype="string"),
            "Output": [shape_text(row.output_shape) for row in rows],
            "Output, bytes": pd.array([row.output_bytes for row in rows], dtype="Int64"),
        }
    )
    return frame if timed else frame.drop(columns=["Time, ms", "Share"])


def _shown(rows: Sequence[LayerRow], *, timed: bool, several_streams: bool) -> pd.DataFrame:
    """Without kernels where the runtime tells none, or streams where there is one; what many rows share is sent once."""
    frame = layer_frame(rows, timed=timed).astype(dict.fromkeys(("Kind", "Precision", "Kernel", "Output"), "category"))
    needless = [] if any(row.kernel for row in rows) else ["Kernel"]
    return frame.drop(columns=needless if several_streams else [*needless, "Stream"])


def _columns(view: LayerView) -> dict[str, Any]:
    most = max((row.share or 0.0 for row in view.rows), default=0.0)
    return {
        "#": st.column_config.NumberColumn(width=52, help="Place in the order of execution"),
        "Layer": st.column_config.TextColumn(width=300),
        "Stream": st.column_config.NumberColumn(width=64, help="Streams run at the same time, but for their waits"),
        "Time, ms": st.column_config.NumberColumn(format="%.4f", help="Mean of a separate profiled run"),
        "Share": st.column_config.ProgressColumn(
            format="%.1f %%", min_value=0.0, max_value=max(100 * most, 1e-9), help="Of the time of all timed layers", width=110
        ),
        "Nodes": st.column_config.NumberColumn(width=64, help="Source nodes carried out in this layer"),
        "Source nodes": st.column_config.TextColumn(width=320),
        "Output, bytes": st.column_config.NumberColumn(format="compact"),
    }


def shape_text(shape: tuple[int, ...] | None) -> str | None:
    return None if shape is None else lengths(shape)


def tensor_frame(tensors: Sequence[LayerTensor]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Tensor": [tensor.name for tensor in tensors],
            "Type": [tensor.dtype for tensor in tensors],
            "Shape": [shape_text(tensor.shape) for tensor in tensors],
            "Layout": [tensor.format for tensor in tensors],
        }
    )


def source_table(build: str, view: LayerView | None) -> None:
    """Every source node and the layer it went into, or why it is in none."""
    if view is None:
        st.info("This build told no layers, so nothing tells where the source nodes went.", icon=":material/layers_clear:")
        return
    rows = source_rows(view.graph)
    fates = list(dict.fromkeys(row.fate for row in rows))
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    text = left.text_input("Find a source node", key=f"source-filter-{build}", placeholder="Name or op", icon=":material/search:")
    counts = {fate: sum(row.fate == fate for row in rows) for fate in fates}
    wanted = right.pills(
        "Where it went",
        fates,
        selection_mode="multi",
        format_func=lambda fate: f"{plain(fate)} · {counts[fate]:,}",
        key=f"source-fates-{build}",
    )
    shown = [row for row in rows if (not wanted or row.fate in wanted) and _matches(row, text)]
    key = f"source-table-{build}"

    def on_select() -> None:
        chosen = st.session_state[key]["selection"]["rows"]
        if chosen and shown[chosen[0]].layers:
            select(shown[chosen[0]].layers[0])

    st.dataframe(
        source_frame(shown),
        key=key,
        on_select=on_select,
        selection_mode="single-row",
        hide_index=True,
        height=table_height(len(shown), HEIGHT),
        column_config={"In layer": st.column_config.TextColumn(width="large"), "Why": st.column_config.TextColumn(width="large")},
        placeholder="–",
        alt=f"{plural(len(shown), 'source node')} and where they went",
    )
    st.caption(f"{plural(len(shown), 'node')} of {len(rows):,}. Select a row to make its layer the selected one.")
    for note in view.graph.notes:
        st.caption(sentence(note))


def source_frame(rows: Sequence[SourceRow]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Source node": [row.name for row in rows],
            "Op": [row.op for row in rows],
            "Fate": [row.fate for row in rows],
            "In layer": [
                ", ".join(f"{number} · {name}" for number, name in zip(row.layers, row.layer_names, strict=True)) or None
                for row in rows
            ],
            "Why": [row.reason if row.fate != IN_A_LAYER else None for row in rows],
        }
    )


def _matches(row: SourceRow, text: str) -> bool:
    return text.strip().lower() in f"{row.name}\n{row.op}".lower()
