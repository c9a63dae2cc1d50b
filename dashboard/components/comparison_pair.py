"""Two builds side by side: their figures, and their layers matched by the source nodes they carry out."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.analysis.comparison import ComparisonRow, Standing, summary
from core.analysis.diff import DiffRow, EngineDiff, diff_engines
from core.analysis.layers import layer_rows, totals_by_precision
from core.base.errors import InvalidRequest
from core.report.charts import row_title
from core.request.commands import report_command_for
from core.stages.outcome import Outcome
from dashboard import formatting, links
from dashboard.charts.comparison import DIFFERENCES, differences_figure
from dashboard.components.chart import show_chart
from dashboard.components.comparison_data import outcomes_of, rows_of
from dashboard.components.layer_view import stamp
from dashboard.report import report_button


def comparison_pair(given: Sequence[str]) -> None:
    """Draws the page of two builds.

    Raises:
        InvalidRequest: They are not two builds of one model.
        NotFound: One of them is not stored.
    """
    found = outcomes_of(tuple(given))
    if len(found) != 2 or found[0].model.digest != found[1].model.digest:
        raise InvalidRequest("Side by side stand two builds of one model.", hint="Choose two rows on the model's board.")
    keys = (found[0].build.key, found[1].build.key)
    rows = rows_of(keys, keys[0] if found[0].measurement else None)
    a, b = (row_title(row) for row in rows)
    st.title(f"{found[0].model.name}: two builds side by side")
    with st.container(horizontal=True, vertical_alignment="center"):
        links.link(links.COMPARE, "All builds", icon=":material/arrow_back:", model=found[0].model.digest)
        if st.button("Swap A and B", icon=":material/swap_horiz:"):
            links.go(links.COMPARE, builds=",".join(reversed(keys)))
        with st.popover("Download", icon=":material/download:"):
            report_button(found, f"{found[0].model.name}-two-builds.html")
            st.code(report_command_for(keys, "report.html"), language=None, wrap_lines=True)
    st.markdown(f"**{_verdict(rows)}**")
    _figures(found, rows)
    st.header("Where they differ")
    graphs = [one.graph for one in found]
    if not graphs[0] or not graphs[1]:
        lacking = " and ".join(name for name, graph in zip("AB", graphs, strict=True) if not graph)
        st.info(f"{lacking} told no layers, so the engines cannot be set against each other.", icon=":material/layers_clear:")
        return
    _differences(_diff(keys, tuple(stamp(key) for key in keys)), a, b)


@st.cache_data(max_entries=8, show_spinner="Matching the layers")
def _diff(keys: tuple[str, str], stamps: tuple[object, ...]) -> EngineDiff:
    first, second = (one.graph for one in outcomes_of(keys))
    if first is None or second is None:
        raise InvalidRequest("A build without layers cannot be set against another.")
    return diff_engines(first, second)


def _verdict(rows: Sequence[ComparisonRow]) -> str:
    other = rows[1]
    if rows[0].standing is not Standing.BASELINE:
        return summary(rows)
    return f"B, held against A: {other.verdict}."


def _figures(found: Sequence[Outcome], rows: Sequence[ComparisonRow]) -> None:
    facts = {
        "build": [row_title(row) for row in rows],
        "state": [one.build.state.value for one in found],
        "device": [row.device for row in rows],
        "median latency": [formatting.milliseconds(row.median_ms) for row in rows],
        "95 % interval": [
            formatting.UNKNOWN if row.low_ms is None else f"{row.low_ms:.4g} to {row.high_ms:.4g} ms" for row in rows
        ],
        "engine size": [formatting.size(row.size_bytes) for row in rows],
        "parity": [{True: "on par", False: "not on par", None: "not known"}[row.parity_passed] for row in rows],
        "relative error": [formatting.UNKNOWN if row.max_rel is None else f"{row.max_rel:.1e}" for row in rows],
        "accuracy": [formatting.percent(row.accuracy) for row in rows],
        "memory": [
            formatting.size(row.memory_bytes) if row.memory_bytes is not None else formatting.NOT_MEASURED for row in rows
        ],
        "built in": [formatting.seconds(row.build_seconds) for row in rows],
        "layers": [_layers(row) for row in rows],
        "computes in": [_precisions(one) for one in found],
    }
    shown = {
        name: values for name, values in facts.items() if name != "accuracy" or any(row.accuracy is not None for row in rows)
    }
    st.table(
        pd.DataFrame({"": list(shown), "A": [v[0] for v in shown.values()], "B": [v[1] for v in shown.values()]}),
        hide_index=True,
        border="horizontal",
        alt="The two builds' figures",
    )
    with st.container(horizontal=True):
        for name, one in zip("AB", found, strict=True):
            links.link(links.ENGINE, f"Open engine {name}", icon=":material/memory:", build=one.build.key)


def _layers(row: ComparisonRow) -> str:
    if row.layers is None:
        return "not told"
    return f"{row.layers:,} from {formatting.count(row.source_nodes)} nodes, {formatting.count(row.fused_layers)} fused"


def _precisions(outcome: Outcome) -> str:
    if outcome.graph is None:
        return "not told"
    totals = totals_by_precision(layer_rows(outcome.graph))
    return ", ".join(
        f"{total.key} {formatting.percent(total.share)} of the time"
        if total.share is not None
        else f"{total.key} {total.layers} layers"
        for total in totals
    )


def _differences(diff: EngineDiff, a: str, b: str) -> None:
    for note in diff.notes:
        st.caption(note)
    timed = [row for row in diff.rows if row.delta_ms is not None]
    if timed:
        told = f"Time in each engine of the {min(DIFFERENCES, len(timed))} groups of source nodes that differ most."
        show_chart(differences_figure(timed, a, b), "differences", told)
    frame = difference_frame(diff.rows)
    st.dataframe(
        frame.dropna(axis="columns", how="all"),
        hide_index=True,
        height=min(520, 35 * (len(frame) + 1) + 3),
        placeholder="–",
        column_config={
            "Source nodes": st.column_config.TextColumn(width="medium"),
            **{name: st.column_config.NumberColumn(format="%.4f") for name in ("A, ms", "B, ms")},
            "B − A, ms": st.column_config.NumberColumn(format="%+.4f"),
            "B / A": st.column_config.NumberColumn(format="%.2f×"),
        },
        alt="Groups of source nodes that both engines carry out in layers of their own",
    )
    st.caption(
        "A row is the smallest group of source nodes that both engines carry out in layers of their own, "
        "so its times may be set against each other although the engines fuse differently."
    )
    st.download_button(
        "Differences as CSV",
        lambda: frame.to_csv(index=False),
        "differences.csv",
        "text/csv",
        icon=":material/table:",
        on_click="ignore",
    )


def difference_frame(rows: Sequence[DiffRow]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Source nodes": [row.title for row in rows],
            "A, ms": pd.array([row.a_ms for row in rows], dtype="Float64"),
            "B, ms": pd.array([row.b_ms for row in rows], dtype="Float64"),
            "B − A, ms": pd.array([row.delta_ms for row in rows], dtype="Float64"),
            "B / A": pd.array([row.ratio for row in rows], dtype="Float64"),
            "Fused": ["differently" if row.regrouped else "alike" if row.source_nodes else None for row in rows],
            "Layers A": [len(row.a_layers) for row in rows],
            "Layers B": [len(row.b_layers) for row in rows],
            "Precision A": [", ".join(row.a_precisions) or None for row in rows],
            "Precision B": [", ".join(row.b_precisions) or None for row in rows],
            "Names in A": [" | ".join(row.a_layers) or None for row in rows],
            "Names in B": [" | ".join(row.b_layers) or None for row in rows],
            "Nodes": [", ".join(row.source_nodes) or None for row in rows],
        }
    )
