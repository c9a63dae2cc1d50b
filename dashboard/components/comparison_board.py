"""Every build of a model on one board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.analysis.comparison import ComparisonRow, Standing, summary
from core.models.model import Model
from core.report.charts import row_title
from core.storage.builds import Build, State
from dashboard import formatting, links
from dashboard.charts.comparison import Against, latency_figure, scatter_figure
from dashboard.components.chart import show_chart
from dashboard.components.comparison_data import builds_of, outcomes_of, rows_of
from dashboard.report import report_button

BASELINE = "baseline"
HEIGHT = 520


def comparison_board(model: Model) -> None:
    builds = builds_of(model)
    if not builds:
        st.info(f"Nothing has been built from {model.name} yet.", icon=":material/bar_chart:")
        links.link(links.BUILD, "Build several paths in one go", icon=":material/play_arrow:", model=model.digest)
        return
    _unfinished(builds)
    wanted = _filtered(builds)
    if not wanted:
        st.info("No build passes these filters.", icon=":material/filter_alt_off:")
        return
    keys = tuple(build.key for build in wanted)
    rows = rows_of(keys, None)
    rows = sorted(_against(rows, keys), key=_fastest_first)
    st.markdown(f"**{summary(rows)}**")
    _charts(rows, model)
    _table(rows, model)
    _precisions(rows)
    st.caption(_conditions(keys))


def _fastest_first(row: ComparisonRow) -> tuple[bool, float]:
    return row.median_ms is None, row.median_ms or 0.0


def _unfinished(builds: Sequence[Build]) -> None:
    running = sum(build.state in (State.WAITING, State.RUNNING) for build in builds)
    if running:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(
                f"Not finished yet: {formatting.plural(running, 'build')}. Reload the page to see what came of it.",
                icon=":material/pending:",
            )
            links.link(links.JOBS, "Follow the jobs", icon=":material/schedule:")


def _filtered(builds: Sequence[Build]) -> list[Build]:
    """The builds that pass the filters; a filter is there when it could leave something out."""
    found = list(builds)
    with st.container(horizontal=True):
        for label, values in (
            ("Precision", [build.request.precision.value for build in builds]),
            ("Device", [build.request.device for build in builds]),
            ("State", [build.state.value for build in builds]),
        ):
            choices = sorted(set(values))
            if len(choices) > 1:
                wanted = st.pills(label, choices, selection_mode="multi", key=f"compare-{label}-{builds[0].request.model}")
                kept = {id(build) for build, value in zip(builds, values, strict=True) if not wanted or value in wanted}
                found = [build for build in found if id(build) in kept]
    return found


def _against(rows: list[ComparisonRow], keys: tuple[str, ...]) -> list[ComparisonRow]:
    """The rows held against the build that the user chose; the choice stays in the address."""
    measured = [row for row in rows if row.median_ms is not None]
    if len(measured) < 2:
        return rows
    titles = {row.key: row_title(row) for row in measured}
    default = next((row.key for row in rows if row.standing is Standing.BASELINE), measured[0].key)
    asked = links.chosen(BASELINE) or ""
    start = next((key for key in titles if asked and key.startswith(asked)), default)
    chosen = st.selectbox(
        "Baseline",
        list(titles),
        index=list(titles).index(start),
        format_func=lambda key: titles[key],
        help="What the others are held against: the source's own framework in fp32 if it was built.",
        width=420,
    )
    if chosen == default:
        st.query_params.pop(BASELINE, None)
        return rows
    st.query_params[BASELINE] = formatting.digest(chosen)
    return rows_of(keys, chosen)


def _charts(rows: Sequence[ComparisonRow], model: Model) -> None:
    if not any(row.median_ms is not None for row in rows):
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**Latency**")
        told = "Median latency of each build with its 95 % interval. The table below has the same figures."
        show_chart(latency_figure(rows), f"{model.name}-latency", told)
    with right:
        against = st.segmented_control(
            "Latency against",
            list(Against),
            default=Against.SIZE,
            required=True,
            format_func=lambda one: one.value,
            key="against",
        )
        chosen = against or Against.SIZE
        told = f"Latency of each build against its {chosen.value}. The table below has the same figures."
        name = chosen.name.lower()
        show_chart(scatter_figure(rows, chosen), f"{model.name}-{name}", told)


def _table(rows: Sequence[ComparisonRow], model: Model) -> None:
    frame = comparison_frame(rows)
    event = st.dataframe(
        frame.dropna(axis="columns", how="all"),
        key="comparison",
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height=min(HEIGHT, 35 * (len(rows) + 1) + 3),
        placeholder="–",
        column_config=_columns(),
        alt=f"{formatting.plural(len(rows), 'build')} of {model.name} side by side",
    )
    chosen = [rows[index] for index in event["selection"]["rows"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(chosen) == 2:
            if st.button("Set the two side by side", type="primary", icon=":material/compare_arrows:"):
                links.go(links.COMPARE, builds=",".join(row.key for row in chosen))
        elif len(chosen) == 1:
            links.link(links.ENGINE, f"Open {row_title(chosen[0])}", icon=":material/memory:", build=chosen[0].key)
        else:
            st.caption("Select one row to open its engine, two to set them side by side.")
        st.download_button(
            "CSV",
            lambda: frame.to_csv(index=False),
            f"{model.name}-builds.csv",
            "text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
        keys = tuple(row.key for row in (chosen if len(chosen) > 1 else rows))
        report_button(outcomes_of(keys), f"{model.name}-comparison.html", width="content")


def _precisions(rows: Sequence[ComparisonRow]) -> None:
    """Whether the narrower precisions paid, and where layers ran in another one than was asked."""
    paid = [(row, row.payoff.text) for row in rows if row.payoff]
    otherwise = [(row, text) for row in rows for text in row.disagreements]
    for title, told in (("Did the precision pay", paid), ("Ran in another precision than asked", otherwise)):
        if told:
            st.markdown(f"**{title}**")
            st.markdown("\n".join(f"- {formatting.plain(f'{row_title(row)}: {text}')}" for row, text in told))


def comparison_frame(rows: Sequence[ComparisonRow]) -> pd.DataFrame:
    """What the table shows and the CSV file holds."""

    def floats(values: list[float | None]) -> pd.api.extensions.ExtensionArray:
        return pd.array(values, dtype="Float64")

    return pd.DataFrame(
        {
            "Build": [row.title for row in rows],
            "Precision": [row.precision.value for row in rows],
            "Device": [row.device for row in rows],
            "Median, ms": floats([row.median_ms for row in rows]),
            "95 % interval": pd.array(
                [None if row.low_ms is None else f"{row.low_ms:.4g} to {row.high_ms:.4g}" for row in rows], dtype="string"
            ),
            "Speed-up": floats([row.speedup for row in rows]),
            "Verdict": [row.verdict for row in rows],
            "Size, MB": floats([None if row.size_bytes is None else row.size_bytes / 1e6 for row in rows]),
            "On par": pd.array([row.parity_passed for row in rows], dtype="boolean"),
            "Relative error": floats([row.max_rel for row in rows]),
            "Top-1 agrees": floats([row.top1 for row in rows]),
            "Accuracy": floats([row.accuracy for row in rows]),
            "Source's accuracy": floats([row.reference_accuracy for row in rows]),
            "p99, ms": floats([row.p99_ms for row in rows]),
            "Load, ms": floats([row.load_ms for row in rows]),
            "Memory, MB": floats([None if row.memory_bytes is None else row.memory_bytes / 1e6 for row in rows]),
            "Layers": pd.array([row.layers for row in rows], dtype="Int64"),
            "Fused": pd.array([row.fused_layers for row in rows], dtype="Int64"),
            "Built in, s": floats([row.build_seconds for row in rows]),
            "Key": [formatting.digest(row.key) for row in rows],
        }
    )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "Build": st.column_config.TextColumn(width="medium", pinned=True),
        "Median, ms": number(format="%.4f"),
        "Speed-up": number(format="%.2f×", help="How many times faster than the baseline"),
        "Verdict": st.column_config.TextColumn(width="large"),
        "Size, MB": number(format="%.2f"),
        "Relative error": number(format="%.1e"),
        **{name: number(format="percent") for name in ("Top-1 agrees", "Accuracy", "Source's accuracy")},
        **{name: number(format="%.3f") for name in ("p99, ms",)},
        **{name: number(format="%.1f") for name in ("Load, ms", "Memory, MB", "Built in, s")},
    }


def _conditions(keys: tuple[str, ...]) -> str:
    """How the figures were taken, from the first build that has any."""
    measured = next((one.measurement for one in outcomes_of(keys) if one.measurement), None)
    if measured is None:
        return "Nothing was measured."
    shapes = ", ".join(f"{name} {'×'.join(map(str, shape)) or 'scalar'}" for name, shape in measured.shapes.items())
    machine = measured.machine.get("gpu") or measured.machine.get("processor") or "processor unknown"
    return (
        f"{shapes}; at least {measured.protocol.min_seconds:g} s and {measured.protocol.min_samples} runs after warm-up, "
        f"one at a time, host to host; {machine}. Each engine's page has its own protocol."
    )
