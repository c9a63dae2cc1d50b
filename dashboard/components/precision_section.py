"""What became of the precision that was asked for: realized or not, worth it or not, and what it costs in accuracy.

The engine page's section "Precision" is `precision_section(outcome)`; it needs nothing but the stored build, and shows a line
where a build has told nothing.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.analysis.contradiction import trusted_graph
from core.analysis.payoff import no_payoff_text, payoff_among
from core.analysis.realized import Realized, compare_precisions
from core.base.precision import Precision
from core.base.units import UNKNOWN, percent, plural
from core.precision.record import AccuracyCost, PrecisionRecord, RemedyRecord
from core.stages.outcome import Outcome
from dashboard import services
from dashboard.formatting import plain

_SHARE = st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0)


def precision_section(outcome: Outcome) -> None:
    asked = outcome.build.request.precision
    record = outcome.prepared.precision if outcome.prepared else None
    if stamp := outcome.stamp.removesuffix("."):
        st.error(plain(f"{stamp[0].upper()}{stamp[1:]}."), icon=":material/warning:")
    if asked is not Precision.FP32:
        _payoff(outcome)
    if (graph := trusted_graph(outcome)) is None:
        st.info("This build told no layers, so nothing tells what it computes in.", icon=":material/layers_clear:")
    else:
        _realized(compare_precisions(graph, asked), asked)
    if record:
        _kept(record)
        if record.cost:
            _cost(record.cost)
        if record.remedy:
            _remedy(record.remedy)


def _payoff(outcome: Outcome) -> None:
    """Whether the build's precision paid, against the newest build of the same path in FP32, or why nothing tells that."""
    builds = services.builds_of(outcome.build.request.model)
    found = payoff_among(outcome, builds, services.outcome, services.duels())
    if found is None:
        st.info(plain(no_payoff_text(outcome, builds, services.outcome)), icon=":material/balance:")
    elif found.paid is None:
        st.info(plain(found.text), icon=":material/balance:")
    elif found.paid:
        st.success(plain(found.text), icon=":material/trending_up:")
    else:
        st.warning(plain(found.text), icon=":material/trending_flat:")


def _realized(found: Realized, asked: Precision) -> None:
    st.header("Asked for and realized")
    if not found.pairs:
        st.markdown(f"**{asked.value}** was asked for; the runtime does not tell what its layers compute in.")
        return
    st.markdown(f"**{asked.value}** was asked for; {plain(found.summary)}.")
    for pair in found.disagreements:
        st.warning(plain(pair.warning), icon=":material/rule:")
    st.dataframe(
        realized_frame(found),
        hide_index=True,
        placeholder=UNKNOWN,
        column_config={"Time": _SHARE},
        alt="What nodes were asked to compute in, and what they ran in",
    )
    with st.expander(f"Each of {plural(len(found.nodes), 'node')}"):
        st.dataframe(
            nodes_frame(found), hide_index=True, placeholder=UNKNOWN, column_config={"Time": _SHARE}, alt="Each node's precision"
        )


def realized_frame(found: Realized) -> pd.DataFrame:
    """A row for each pair of what was asked for and what it ran in; the column of times only where layers were timed."""
    frame = pd.DataFrame(
        {
            "Asked for": [pair.requested for pair in found.pairs],
            "Ran in": [pair.realized for pair in found.pairs],
            "As asked": [pair.as_asked for pair in found.pairs],
            "Nodes": [len(pair.nodes) for pair in found.pairs],
            "Layers": [len(pair.layers) for pair in found.pairs],
            "Time": pd.array([pair.share for pair in found.pairs], dtype="Float64"),
        }
    )
    return frame.dropna(axis="columns", how="all")


def nodes_frame(found: Realized) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "Node": [node.node for node in found.nodes],
            "Asked for": [node.requested for node in found.nodes],
            "Ran in": [node.realized for node in found.nodes],
            "Layer": [node.layer for node in found.nodes],
            "Time": pd.array([node.share for node in found.nodes], dtype="Float64"),
        }
    )
    return frame.dropna(axis="columns", how="all")


def _kept(record: PrecisionRecord) -> None:
    for violation in record.violations:
        st.warning(plain(violation.message), icon=":material/rule:")
    if not record.kept:
        return
    with st.expander(f"{plural(len(record.kept), 'node')} {plain(record.left)}"):
        frame = pd.DataFrame({"Node": list(record.kept), "Why": list(record.kept.values())})
        st.dataframe(frame, hide_index=True, placeholder=UNKNOWN, alt=f"Nodes {record.left}, each with why")


def _cost(cost: AccuracyCost) -> None:
    st.header("Where accuracy goes")
    how = "every narrow tensor rounded, as the runtime would hide the loss" if cost.emulated else "run as it is"
    st.caption(plain(f"Each layer against fp32 on {cost.compared_on}; {how}."))
    if cost.accuracy and cost.reference_accuracy:
        found, true = cost.accuracy, cost.reference_accuracy
        st.markdown(f"Top-1 **{percent(found.top1)}** on {found.samples:,} labelled samples; fp32 has {percent(true.top1)}.")
    if bad := cost.first_bad:
        st.warning(plain(f"The first bad layer is {bad.node} ({bad.op}), off by {percent(bad.error)}."), icon=":material/error:")
    frame = pd.DataFrame(
        {
            "Node": [layer.node for layer in cost.worst],
            "Op": [layer.op for layer in cost.worst],
            "Error": [layer.error for layer in cost.worst],
            "Its own": [layer.added for layer in cost.worst],
        }
    )
    columns = {name: st.column_config.NumberColumn(format="%.2e") for name in ("Error", "Its own")}
    st.dataframe(frame, hide_index=True, placeholder=UNKNOWN, column_config=columns, alt="The layers that lose most accuracy")


def _remedy(remedy: RemedyRecord) -> None:
    st.header("What stays in fp32 for the accuracy asked for")
    st.markdown(f"{plural(len(remedy.keep), 'node')}. {plain(remedy.cost)}")
    frame = pd.DataFrame(
        {
            "Kept": [one.kept for one in remedy.rounds],
            "Relative error": pd.array([one.max_rel for one in remedy.rounds], dtype="Float64"),
            "Not finite": [one.non_finite for one in remedy.rounds],
            "Top-1": pd.array([one.top1 for one in remedy.rounds], dtype="Float64"),
            "Latency, ms": pd.array([one.latency_ms for one in remedy.rounds], dtype="Float64"),
            "Good enough": [one.met for one in remedy.rounds],
        }
    )
    columns = {
        "Relative error": st.column_config.NumberColumn(format="%.1e"),
        "Top-1": st.column_config.NumberColumn(format="percent"),
        "Latency, ms": st.column_config.NumberColumn(format="%.3f"),
    }
    shown = frame.dropna(axis="columns", how="all")
    st.dataframe(shown, hide_index=True, placeholder=UNKNOWN, column_config=columns, alt="Trials of what to keep in fp32")
