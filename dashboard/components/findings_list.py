"""What is worth knowing about an engine's layers."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from core.analysis.finding import Finding
from core.analysis.findings import findings_of
from core.analysis.layers import LayerTotal, totals_by_kind
from core.base.units import percent, plural
from core.stages.outcome import Outcome
from dashboard.components.layer_view import LayerView
from dashboard.components.selection import select

LINKED = 6


def findings_section(outcome: Outcome, view: LayerView | None) -> None:
    if view is None:
        st.info("This build told no layers, so there is nothing to find in them.", icon=":material/layers_clear:")
        return
    found = findings_of(outcome)
    if not found:
        st.success(
            "Nothing stands out: no dominant layer, no costly reformats or casts, every node traced.", icon=":material/check:"
        )
    for finding in found:
        _finding(finding, view)
    st.header("Kinds of layers")
    _totals(totals_by_kind(view.rows), timed=view.timed)


def _finding(finding: Finding, view: LayerView) -> None:
    with st.container(border=True):
        st.markdown(
            f"**{finding.kind.value.capitalize()}**" + (f" · {percent(finding.share)} of the time" if finding.share else "")
        )
        st.text(finding.message)
        st.caption(finding.hint)
        positions = [row.position for row in view.rows if row.name in set(finding.layers)]
        if not positions:
            return
        with st.container(horizontal=True):
            for position in positions[:LINKED]:
                st.button(
                    f"Layer {position}",
                    key=f"finding-{finding.kind.value}-{position}",
                    on_click=partial(_show, position),
                    type="tertiary",
                )
            if len(positions) > LINKED:
                st.caption(f"and {plural(len(positions) - LINKED, 'more layer', 'more layers')}")


def _show(position: int) -> None:
    select(position)
    st.session_state["section"] = "Fused layers"


def _totals(totals: list[LayerTotal], *, timed: bool) -> None:
    frame = pd.DataFrame(
        {
            "Kind": [total.key for total in totals],
            "Layers": [total.layers for total in totals],
            "Source nodes": [total.source_nodes for total in totals],
            "Time, ms": pd.array([total.time_ms for total in totals], dtype="Float64"),
            "Share": pd.array([None if total.share is None else 100 * total.share for total in totals], dtype="Float64"),
        }
    )
    st.dataframe(
        frame if timed else frame.drop(columns=["Time, ms", "Share"]),
        hide_index=True,
        column_config={
            "Time, ms": st.column_config.NumberColumn(format="%.4f"),
            "Share": st.column_config.ProgressColumn(format="%.1f %%", min_value=0.0, max_value=100.0),
        },
        alt="Layers summed by kind",
    )
