"""Every build of a model on one board."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.analysis.comparison_row import ComparisonRow, Standing, fastest_first
from core.analysis.comparison_summary import summary
from core.analysis.summary import protocol_text, state_text
from core.analysis.versus import how_text
from core.base.errors import EngineRoomError
from core.base.units import digest, interval, plural
from core.graph.memory import EngineMemory
from core.jobs.job import JobKind, JobState
from core.models.model import Model
from core.storage.builds import Build, State
from dashboard import links, services
from dashboard.charts.comparison import Against, latency_figure, scatter_figure
from dashboard.components.baseline_offer import baseline_offer
from dashboard.components.chart import show_chart
from dashboard.components.comparison_data import outcomes_of, rows_of
from dashboard.components.comparison_memory import memory_of_builds
from dashboard.components.csv_button import csv_button
from dashboard.components.measure_again import weak_rows_button
from dashboard.components.settle import duel_button, settle_section
from dashboard.components.tables import table_height
from dashboard.failures import show_error
from dashboard.formatting import plain, visible
from dashboard.report import report_button

BASELINE = "baseline"
HEIGHT = 520
VERDICT_LETTERS = 56
BUILD_PIXELS = 280
MOST_JOBS = 1000
GPU_MEMORY = {
    "Weights, MB": "On the GPU, loaded once for all contexts.",
    "Activations, MB": "On the GPU, for each context, at the largest shapes.",
    "With one context, MB": "On the GPU: weights, activations and persistent memory of one context.",
}


def comparison_board(model: Model) -> None:
    builds = services.builds_of(model.digest)
    unfinished = _unfinished(builds, model)
    if not builds:
        st.info(f"Nothing has been built from {plain(model.name)} yet.", icon=":material/bar_chart:")
        links.link(links.BUILD, "Build several paths in one go", icon=":material/play_arrow:", model=model.digest)
        return
    wanted = _filtered(builds)
    if not wanted:
        st.info("No build passes these filters.", icon=":material/filter_alt_off:")
        return
    keys, everything = (tuple(build.key for build in some) for some in (wanted, builds))
    # A filter hides builds; it does not change what they are held against.
    held = fastest_first(_against(rows_of(everything, None), everything))
    rows = [row for row in held if row.key in keys]
    told = [row for row in held if row in rows or row.standing is Standing.BASELINE]
    st.markdown(f"**{plain(summary(told))}**")
    baseline_offer(model, builds, unfinished)
    settle_section(model.digest, told)
    _charts(rows, model)
    _table(rows, model)
    memory_of_builds(rows, model)
    _precisions(rows)
    weak = " Hollow points are weak figures." if any(row.candidate.weak for row in rows) else ""
    how = how_text(row.speedup for row in rows)
    st.caption(plain(f"{protocol_text(outcomes_of(keys))} Each engine's page has its own protocol. {how}{weak}".strip()))


def _unfinished(builds: Sequence[Build], model: Model) -> set[str]:
    """Tells how many are still to come, builds that are going on, and jobs that have not left any yet; their keys."""
    going = {build.key for build in builds if build.state in (State.WAITING, State.RUNNING)}
    try:
        jobs = services.queue().jobs(states=(JobState.QUEUED, JobState.RUNNING), limit=MOST_JOBS)
    except EngineRoomError as error:
        show_error(error)
        jobs = []
    going |= {job.key for job in jobs if job.request.model == model.digest and job.kind is not JobKind.DUEL}
    if running := len(going):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(
                f"Not finished yet: {plural(running, 'build')}. Reload the page to see what came of it.",
                icon=":material/pending:",
            )
            links.link(links.JOBS, "Follow the jobs", icon=":material/schedule:")
    return going


def _filtered(builds: Sequence[Build]) -> list[Build]:
    """The builds that pass the filters; a filter is there when it could leave something out."""
    found = list(builds)
    with st.container(horizontal=True):
        for label, values in (
            ("Precision", [build.request.precision.value for build in builds]),
            ("Device", [build.ran_on for build in builds]),
            ("State", [state_text(build) for build in builds]),
        ):
            choices = sorted(set(values))
            if len(choices) > 1:
                wanted = st.pills(
                    label, choices, selection_mode="multi", format_func=plain, key=f"compare-{label}-{builds[0].request.model}"
                )
                kept = {id(build) for build, value in zip(builds, values, strict=True) if not wanted or value in wanted}
                found = [build for build in found if id(build) in kept]
    return found


def _against(rows: list[ComparisonRow], keys: tuple[str, ...]) -> list[ComparisonRow]:
    """The rows held against the build that the user chose; the choice stays in the address."""
    measured = [row for row in rows if row.latency]
    if len(measured) < 2:
        return rows
    titles = {row.key: row.name for row in measured}
    default = next((row.key for row in rows if row.standing is Standing.BASELINE), measured[0].key)
    asked = links.chosen(BASELINE) or ""
    start = next((key for key in titles if asked and key.startswith(asked)), default)
    chosen = st.selectbox(
        "Baseline",
        list(titles),
        index=list(titles).index(start),
        format_func=lambda key: visible(titles[key]),
        help="What the others are held against: the source's own framework in fp32 if it was built.",
        width=420,
    )
    if chosen == default:
        st.query_params.pop(BASELINE, None)
        return rows
    st.query_params[BASELINE] = digest(chosen)
    return rows_of(keys, chosen)


def _charts(rows: Sequence[ComparisonRow], model: Model) -> None:
    if not any(row.latency for row in rows):
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**Latency**")
        hollow = " A hollow point is a weak figure." if any(row.candidate.weak for row in rows) else ""
        told = f"Median latency of each build with its 95 % interval.{hollow} The table below has the same figures."
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
        height=table_height(len(rows), HEIGHT),
        placeholder="–",
        column_config=_columns(),
        alt=f"{plural(len(rows), 'build')} of {model.name} side by side",
    )
    _cut_verdicts(rows)
    chosen = [rows[index] for index in event["selection"]["rows"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(chosen) == 2:
            if st.button("Set the two side by side", type="primary", icon=":material/compare_arrows:"):
                links.go(links.COMPARE, builds=",".join(row.key for row in chosen))
        elif len(chosen) == 1:
            links.link(links.ENGINE, f"Open {plain(chosen[0].name)}", icon=":material/memory:", build=chosen[0].key)
        else:
            st.caption("Select one row to open its engine, two to set them side by side, several to hold them head to head.")
        if len([row for row in chosen if row.latency]) > 1:
            duel_button([row.key for row in chosen if row.latency], "Hold them head to head")
        weak_rows_button(chosen)
        csv_button("CSV", lambda: frame, f"{model.name}-builds")
        keys = tuple(row.key for row in (chosen if len(chosen) > 1 else rows))
        report_button(outcomes_of(keys), f"{model.name}-comparison.html", width="content")


def _cut_verdicts(rows: Sequence[ComparisonRow]) -> None:
    """Those that the table's column has no room for."""
    if cut := [row for row in rows if len(row.verdict) > VERDICT_LETTERS]:
        st.markdown("\n".join(f"- {plain(f'{row.name}: {row.verdict}')}" for row in cut))


def _precisions(rows: Sequence[ComparisonRow]) -> None:
    """Whether the narrower precisions paid, and where layers ran in another one than was asked."""
    paid = [(row, row.payoff.text) for row in rows if row.payoff]
    otherwise = [(row, text) for row in rows for text in row.disagreements]
    for title, told in (("Did the precision pay", paid), ("Ran in another precision than asked", otherwise)):
        if told:
            st.markdown(f"**{title}**")
            st.markdown("\n".join(f"- {plain(f'{row.name}: {text}')}" for row, text in told))


def comparison_frame(rows: Sequence[ComparisonRow]) -> pd.DataFrame:
    """What the table shows and the CSV file holds."""

    def floats(values: Iterable[float | None]) -> pd.api.extensions.ExtensionArray:
        return pd.array(list(values), dtype="Float64")

    found = [row.candidate for row in rows]
    latencies = [one.latency for one in found]
    measured = [one.measurement for one in found]
    worst = [one.worst for one in found]
    graphs = [one.graph for one in found]

    def of_memory(part: Callable[[EngineMemory], int | None]) -> pd.api.extensions.ExtensionArray:
        parts = (part(one.memory) if one.memory else None for one in found)
        return floats(None if count is None else count / 1e6 for count in parts)

    return pd.DataFrame(
        {
            "Build": [one.title for one in found],
            "Precision": [one.precision.value for one in found],
            "Device": [one.device for one in found],
            "Median, ms": floats(one.median_ms if one else None for one in latencies),
            "Weak": pd.array([one.weak or None for one in found], dtype="string"),
            "95 % interval": pd.array([interval(one.low_ms, one.high_ms) if one else None for one in latencies], dtype="string"),
            "Speed-up": floats(row.speedup.ratio if row.speedup else None for row in rows),
            "Verdict": [row.verdict for row in rows],
            "Size, MB": floats(None if one.size_bytes is None else one.size_bytes / 1e6 for one in found),
            "On par": pd.array([one.on_par for one in found], dtype="boolean"),
            "Relative error": floats(one.max_rel for one in found),
            "Top-1 agrees": floats(one.top1 if one else None for one in worst),
            "Accuracy": floats(one.accuracy for one in found),
            "Source's accuracy": floats(one.reference_accuracy for one in found),
            "p99, ms": floats(one.p99_ms if one else None for one in latencies),
            "Load, ms": floats(one.load_ms if one else None for one in measured),
            "Memory, MB": floats(one.memory_bytes / 1e6 if one else None for one in measured),
            "Weights, MB": of_memory(lambda memory: memory.weights_bytes),
            "Activations, MB": of_memory(lambda memory: memory.activation_bytes),
            "With one context, MB": of_memory(lambda memory: memory.device_bytes(1)),
            "Layers": pd.array([len(one.layers) if one else None for one in graphs], dtype="Int64"),
            "Fused": pd.array([len(one.fused_layers) if one else None for one in graphs], dtype="Int64"),
            "Built in, s": floats(one.build_seconds for one in found),
            "Key": [digest(one.key) for one in found],
        }
    )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "Build": st.column_config.TextColumn(width=BUILD_PIXELS, pinned=True),
        "Median, ms": number(format="%.4f"),
        "Weak": st.column_config.TextColumn(help="Why the figure is weak: measure it again on a quiet machine"),
        "Speed-up": number(format="%.2f×", help="How many times faster than the baseline"),
        "Verdict": st.column_config.TextColumn(width="large"),
        "Size, MB": number(format="%.2f"),
        "Relative error": number(format="%.1e"),
        **{name: number(format="percent") for name in ("Top-1 agrees", "Accuracy", "Source's accuracy")},
        **{name: number(format="%.3f") for name in ("p99, ms",)},
        "Memory, MB": number(format="%.1f", help="Of the measuring process, above what it took before loading"),
        **{
            name: number(format="%.1f", help=f"{what} Empty where the runtime does not tell.")
            for name, what in GPU_MEMORY.items()
        },
        "Load, ms": number(format="%.1f"),
        "Built in, s": number(format="%.1f", help="From the prepared model's file to the finished engine, without conversion"),
    }
