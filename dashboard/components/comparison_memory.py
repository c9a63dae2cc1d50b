"""What builds of a model take of a GPU's memory, with as many contexts as are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.analysis.comparison_row import ComparisonRow
from core.base.units import plural
from core.models.model import Model
from dashboard import links
from dashboard.charts.memory import builds_figure
from dashboard.components.chart import show_chart
from dashboard.components.memory_section import ASKED, MOST_CONTEXTS


@st.fragment
def memory_of_builds(rows: Sequence[ComparisonRow], model: Model) -> None:
    """Nothing where no build tells."""
    known = [row for row in rows if row.candidate.memory and row.candidate.memory.device_bytes(1) is not None]
    if not known:
        return
    key = f"compare-contexts-{model.digest}"
    keep = links.follow(ASKED, key, links.position(ASKED, MOST_CONTEXTS) or 1)
    st.markdown("**GPU memory**")
    contexts = int(st.number_input("Contexts", 1, MOST_CONTEXTS, key=key, on_change=keep, width=200))
    told = f"GPU memory of {plural(len(known), 'build')} with {plural(contexts, 'context')}: weights, and activations of each."
    show_chart(builds_figure(known, contexts), f"{model.name}-memory", told)
    untold = len(rows) - len(known)
    more = f" {plural(untold, 'build')} not among them: not told, or not built." if untold else ""
    st.caption(
        "Weights are loaded once; each context takes activations, at the largest shapes of its profile, and persistent memory. "
        f"As the builders tell, not measured.{more}"
    )
