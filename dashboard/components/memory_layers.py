"""What the builder's own layers ask for, and the bytes that each layer of the engine reads and writes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.analysis.memory import LayerBytes, builder_layers, layer_bytes, moved_texts
from core.base.units import UNKNOWN, plural
from dashboard.components.csv_button import csv_button
from dashboard.components.layer_view import LayerView
from dashboard.components.selection import select, selected
from dashboard.components.tables import table_height

HEIGHT = 420
PARTS = ("Inputs, bytes", "Constants, bytes", "Outputs, bytes", "Together, bytes")


def builder_table(view: LayerView) -> None:
    rows = builder_layers(view.graph)
    st.header("The builder's own layers")
    if not rows:
        st.caption("It names none that asks for scratch or persistent memory.")
        return
    blocks = sum(row.is_block for row in rows)
    whole = (
        "A block stands for many kernels that the builder compiled in one piece, and its scratch holds the tensors between "
        "them: what one kernel of it asks for is not told. "
    )
    st.caption(f"{whole if blocks else ''}Layers that ask for nothing are not listed; scratch is part of the activations.")
    frame = pd.DataFrame(
        {
            "Layer": [row.name for row in rows],
            "Stands for": ["a block of kernels" if row.is_block else "one layer" for row in rows],
            "In the list": pd.array([row.position for row in rows], dtype="Int64"),
            "Profile": pd.array([row.profile for row in rows], dtype="Int64"),
            "Scratch, bytes": [row.scratch_bytes for row in rows],
            "Device persistent, bytes": [row.device_persistent_bytes for row in rows],
            "Host persistent, bytes": [row.host_persistent_bytes for row in rows],
        }
    )
    st.dataframe(
        frame.dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder=UNKNOWN,
        height=table_height(len(rows), HEIGHT),
        column_config={
            "Layer": st.column_config.TextColumn(width="large"),
            "In the list": st.column_config.NumberColumn(help="Place of the layer of that name in the order of execution"),
            **{
                f"{kind}, bytes": st.column_config.NumberColumn(format="localized")
                for kind in ("Scratch", "Device persistent", "Host persistent")
            },
        },
        alt=f"{plural(len(rows), 'layer')} of the builder with scratch and persistent memory",
    )


def moved_table(build: str, view: LayerView) -> None:
    """The bytes of each layer's tensors; a row selects its layer."""
    rows = layer_bytes(view.graph)
    st.header("Bytes that each layer moves")
    if all(row.inputs is None and row.constants is None and row.outputs is None for row in rows):
        st.caption("Not told: this runtime gives no shapes and types of the tensors between its layers.")
        return
    st.markdown("  \n".join(moved_texts(rows)))
    open_ones = sum(row.inputs is None or row.outputs is None for row in rows)
    hint = "Build it for one length of each axis, such as batch 1, and all are told. " if open_ones else ""
    constants = "" if any(row.constants is not None for row in rows) else "Constants are not told by this runtime. "
    st.caption(
        "From shapes and types at the usual lengths, each tensor once and without a layout's padding; not told where a length is "
        f"open and the model's graph does not tell it. {hint}{constants}Select a row to make its layer the selected one."
    )
    key = f"moved-{build}"

    def on_select() -> None:
        if chosen := st.session_state[key]["selection"]["rows"]:
            select(rows[chosen[0]].position)

    here = [index for index, row in enumerate(rows) if row.position == selected(view)]
    st.session_state[key] = {"selection": {"rows": here, "columns": []}}
    frame = moved_frame(rows)
    st.dataframe(
        frame.dropna(axis="columns", how="all"),
        key=key,
        on_select=on_select,
        selection_mode="single-row",
        hide_index=True,
        height=table_height(len(rows), HEIGHT),
        placeholder="not told",
        column_config={
            "#": st.column_config.NumberColumn(width=52, help="Place in the order of execution"),
            "Layer": st.column_config.TextColumn(width=380),
            **{name: st.column_config.NumberColumn(format="localized") for name in PARTS},
        },
        alt=f"Bytes that {plural(len(rows), 'layer')} read and write",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        csv_button("Bytes of layers as CSV", lambda: frame, f"layers-{build[:12]}-bytes")
        st.button(f"Show layer {selected(view)} among the others", on_click=_show, type="tertiary", icon=":material/layers:")


def _show() -> None:
    st.session_state["section"] = "Fused layers"


def moved_frame(rows: Sequence[LayerBytes]) -> pd.DataFrame:
    """What the table shows and the CSV file holds."""
    bytes_of = (
        [row.inputs for row in rows],
        [row.constants for row in rows],
        [row.outputs for row in rows],
        [row.total for row in rows],
    )
    return pd.DataFrame(
        {
            "#": [row.position for row in rows],
            "Layer": [row.name for row in rows],
            "Kind": [row.kind for row in rows],
            "Profile": pd.array([row.profile for row in rows], dtype="Int64"),
            **{name: pd.array(values, dtype="Int64") for name, values in zip(PARTS, bytes_of, strict=True)},
        }
    )
