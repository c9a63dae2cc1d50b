"""Two builds side by side: their figures, and their layers matched by the source nodes they carry out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pandas as pd
import streamlit as st

from core.analysis.comparison_row import ComparisonRow, Standing
from core.analysis.comparison_summary import summary
from core.analysis.contradiction import trusted_graph
from core.analysis.diff import DiffRow, EngineDiff, aligns, diff_builds
from core.analysis.layers import layer_rows, precisions_text
from core.analysis.summary import GPU_MEMORY, Figure, devices_text, state_text
from core.base.errors import InvalidRequest
from core.base.units import NOT_TOLD, UNKNOWN, digest
from core.graph.engine_graph import EngineGraph
from core.request.commands import report_command_for
from core.stages.outcome import Outcome
from dashboard import links, services
from dashboard.charts.comparison import DIFFERENCES, differences_figure
from dashboard.components.chart import show_chart
from dashboard.components.comparison_data import outcomes_of, rows_of
from dashboard.components.csv_button import csv_button
from dashboard.components.layer_view import figures_of, stamp
from dashboard.components.settle import settle_section
from dashboard.components.tables import table_height
from dashboard.formatting import plain, sentence
from dashboard.report import report_button

MOST_TRIED = 12  # builds whose layers are read to find one that aligns
MOST_LINKED = 3


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
    rows = rows_of(keys, keys[0])
    a, b = (row.name for row in rows)
    name = "-".join([found[0].model.name, *map(digest, keys)])
    st.title(f"{plain(found[0].model.name)}: two builds side by side")
    with st.container(horizontal=True, vertical_alignment="center"):
        links.link(links.COMPARE, "All builds", icon=":material/arrow_back:", model=found[0].model.digest)
        if st.button("Swap A and B", icon=":material/swap_horiz:"):
            links.go(links.COMPARE, builds=",".join(reversed(keys)))
        with st.popover("Download", icon=":material/download:"):
            report_button(found, f"{name}.html")
            st.code(report_command_for(keys, "report.html"), language=None, wrap_lines=True)
    st.markdown(f"**{plain(_verdict(rows))}**")
    settle_section(found[0].model.digest, rows)
    _figures(found, rows)
    st.header("Where they differ")
    graphs = [one.graph for one in found]
    if not graphs[0] or not graphs[1]:
        lacking = " and ".join(name for name, graph in zip("AB", graphs, strict=True) if not graph)
        st.info(f"{lacking} told no layers, so the engines cannot be set against each other.", icon=":material/layers_clear:")
        return
    diff = _diff(keys, tuple(stamp(key) for key in keys))
    _differences(diff, a, b, f"{name}-differences")
    if not diff.rows:
        _others_that_align(found, graphs[0])


@st.cache_data(max_entries=8, show_spinner="Matching the layers")
def _diff(keys: tuple[str, str], stamps: tuple[object, ...]) -> EngineDiff:
    first, second = outcomes_of(keys)
    if diff := diff_builds(first, second):
        return diff
    raise InvalidRequest("A build without layers cannot be set against another.")


def _verdict(rows: Sequence[ComparisonRow]) -> str:
    other = rows[1]
    if rows[0].standing is not Standing.BASELINE:
        return summary(rows)
    return f"B, held against A: {other.verdict}."


def _figures(found: Sequence[Outcome], rows: Sequence[ComparisonRow]) -> None:
    """Both builds' figures beside each other, a row each with what it is to be held against; a dash for what one lacks."""
    told = [{figure.label: figure for figure in figures_of(one.build.key)} for one in found]
    facts = {
        "Build": [row.name for row in rows],
        "State": [state_text(one.build) for one in found],
        "Device": [devices_text(one.build) for one in found],
    }
    for label in dict.fromkeys(label for own in told for label in own):
        shown = (own.get(label) for own in told)
        lacking = NOT_TOLD if label == GPU_MEMORY else UNKNOWN
        facts[label] = [_shown(one) if one else lacking for one in shown]
    facts["Computes in"] = [precisions_text(layer_rows(graph)) if graph else "not told" for graph in map(trusted_graph, found)]
    frame = pd.DataFrame(
        {"": list(facts), "A": [plain(a) for a, _ in facts.values()], "B": [plain(b) for _, b in facts.values()]}
    )
    st.table(frame, hide_index=True, border="horizontal", alt="The two builds' figures")
    with st.container(horizontal=True):
        for name, one in zip("AB", found, strict=True):
            links.link(links.ENGINE, f"Open engine {name}", icon=":material/memory:", build=one.build.key)


def _shown(figure: Figure) -> str:
    weak = [f"weak: {figure.weak}"] if figure.weak else []
    return "; ".join([figure.value, *figure.against, *weak])


def _others_that_align(found: Sequence[Outcome], graph: EngineGraph) -> None:
    """Links to builds of the model that can be set against A."""
    keys = [build.key for build in services.builds_of(found[0].model.digest) if build.key not in {one.build.key for one in found}]
    others = (one for one in outcomes_of(tuple(keys[:MOST_TRIED])) if one.graph and aligns(graph, one.graph))
    for other in islice(others, MOST_LINKED):
        links.link(
            links.COMPARE,
            f"A against {plain(other.build.request.title)} does align",
            icon=":material/compare_arrows:",
            builds=f"{found[0].build.key},{other.build.key}",
        )


def _differences(diff: EngineDiff, a: str, b: str, name: str) -> None:
    for note in diff.notes:
        st.caption(sentence(note))
    if not diff.rows:
        return
    timed = [row for row in diff.rows if row.delta_ms is not None]
    if timed:
        told = f"Time in each engine of the {min(DIFFERENCES, len(timed))} groups of source nodes that differ most."
        show_chart(differences_figure(timed, a, b), "differences", told)
    frame = difference_frame(diff.rows)
    st.dataframe(
        frame.dropna(axis="columns", how="all"),
        hide_index=True,
        height=table_height(len(frame), 520),
        placeholder="–",
        column_config={
            "Source nodes": st.column_config.TextColumn(width="medium"),
            **{name: st.column_config.NumberColumn(format="%.4f") for name in ("A, ms", "B, ms")},
            "B − A, ms": st.column_config.NumberColumn(format="%+.4f"),
            "B / A": st.column_config.NumberColumn(format="%.2f×"),
        },
        alt="Groups of source nodes that both engines carry out in layers of their own",
    )
    if not diff.by_layers:
        st.caption(
            "A row is the smallest group of source nodes that both engines carry out in layers of their own, "
            "so its times may be set against each other although the engines fuse differently."
        )
    csv_button("Differences as CSV", lambda: frame, name)


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
