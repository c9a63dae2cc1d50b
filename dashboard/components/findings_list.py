"""What is worth knowing about an engine's layers, and what may mend it."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from core.analysis.finding import Finding
from core.analysis.layers import LayerTotal, layer_rows, totals_by_kind
from core.analysis.standing import standing
from core.analysis.twins import twins_text, wider_twins
from core.base.units import UNKNOWN, percent, plural
from core.jobs.job import Job
from core.stages.outcome import Outcome
from dashboard import services
from dashboard.components.layer_view import LayerView, findings_for
from dashboard.components.layer_view import outcome as load
from dashboard.components.mend_trial import mend_trial, trials_of
from dashboard.components.selection import select
from dashboard.components.tables import table_height
from dashboard.formatting import plain, visible

LINKED = 6
NODES_HEIGHT = 250


def findings_section(outcome: Outcome, view: LayerView | None) -> None:
    found = findings_for(outcome.build.key)
    if view is None:
        for finding in found:
            _alone(finding)
        st.info("This build told no layers, so there is nothing to find in them.", icon=":material/layers_clear:")
        return
    own = standing(view.graph)
    twins = wider_twins(outcome, services.builds_of(outcome.build.request.model), load)
    st.caption(plain(f"{own.text} {twins_text(own, twins)}"))
    if not found:
        st.success(
            "Nothing stands out: no dominant layer, no costly reformats or casts, every node traced.", icon=":material/check:"
        )
    jobs = trials_of([finding.mend for finding in found if finding.mend])
    for number, finding in enumerate(found):
        _finding(finding, view, outcome, jobs.get(finding.mend.request.key) if finding.mend else None, number)
    for note in view.graph.notes:
        st.caption(plain(note))
    st.header("Kinds of layers")
    rows = layer_rows(view.graph.with_times({})) if view.doubt else view.rows
    _totals(totals_by_kind(rows), timed=view.timed and not view.doubt)


def _finding(finding: Finding, view: LayerView, outcome: Outcome, job: Job | None, number: int) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            title = finding.kind.value.capitalize()
            if finding.good:
                st.badge(title, icon=":material/check:", color="green")
            elif finding.bad:
                st.badge(title, icon=":material/error:", color="red")
            else:
                st.markdown(f"**{title}**" + (f" · {percent(finding.share)} of the time" if finding.share else ""))
        st.text(visible(finding.message))
        st.caption(plain(finding.hint))
        _layers(finding, view, number)
        _nodes(finding, view)
        if finding.mend:
            mend_trial(outcome, finding.mend, job)


def _alone(finding: Finding) -> None:
    """One that is about no layers."""
    with st.container(border=True):
        st.badge(finding.kind.value.capitalize(), icon=":material/error:", color="red")
        st.text(visible(finding.message))
        st.caption(plain(finding.hint))


def _layers(finding: Finding, view: LayerView, number: int) -> None:
    inside = set(finding.layers)
    positions = [row.position for row in view.rows if row.name in inside]
    if not positions:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        for position in positions[:LINKED]:
            st.button(
                f"Layer {position}",
                key=f"finding-{finding.kind.value}-{number}-{position}",
                on_click=partial(_show, position),
                type="tertiary",
            )
        if len(positions) > LINKED:
            st.caption(f"and {plural(len(positions) - LINKED, 'more layer', 'more layers')}")


def _nodes(finding: Finding, view: LayerView) -> None:
    if not finding.nodes:
        return
    with st.expander(f"From {plural(len(finding.nodes), 'source node')}"):
        ops = [view.nodes[name].op if name in view.nodes else None for name in finding.nodes]
        frame = pd.DataFrame({"Op": ops, "Node": finding.nodes})
        st.dataframe(
            frame,
            hide_index=True,
            placeholder=UNKNOWN,
            height=table_height(len(ops), NODES_HEIGHT),
            alt="Source nodes that the finding is about",
        )


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
        placeholder=UNKNOWN,
        column_config={
            "Time, ms": st.column_config.NumberColumn(format="%.4f"),
            "Share": st.column_config.ProgressColumn(format="%.1f %%", min_value=0.0, max_value=100.0),
        },
        alt="Layers summed by kind",
    )
