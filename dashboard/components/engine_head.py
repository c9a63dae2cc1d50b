"""The top of the engine page: what it is, how it stands, and its figures at a glance."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.analysis.layers import totals_by_precision
from core.base.errors import EngineRoomError
from core.benchmark.measurement import Measurement
from core.jobs.job import JobState
from core.parity.result import Parity
from core.request.paths import path_title
from core.stages.outcome import Outcome
from core.storage.builds import State
from dashboard import formatting, links, services
from dashboard.components.job_status import BUILD_COLOURS, STAGE_ICONS
from dashboard.components.layer_view import layer_view
from dashboard.failures import show_error

REFRESH_SECONDS = 2.0
NOT_MEASURED = formatting.NOT_MEASURED


def title_row(outcome: Outcome, downloads: Callable[[Outcome], None]) -> None:
    build, request = outcome.build, outcome.build.request
    st.title(f"{outcome.model.name}: {path_title(request.path)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(build.state.value, icon=STAGE_ICONS[build.state], color=BUILD_COLOURS[build.state])
        st.badge(f"{request.precision.value} asked for", color="gray")
        st.badge(request.device, color="gray")
        st.caption(f"build {formatting.digest(build.key)}")
        links.link(links.MODEL, "Model", icon=":material/inventory_2:", model=request.model)
        links.link(links.COMPARE, "Compare", icon=":material/bar_chart:", model=request.model)
        downloads(outcome)


def show_failed_stages(outcome: Outcome) -> None:
    """Why it failed, or what an optional stage could not do."""
    for record in outcome.build.stages:
        if record.error is None:
            continue
        if outcome.build.state is State.FAILED:
            st.markdown(f"**Stage {record.stage.value} failed.**")
            show_error(record.error.to_error())
        else:
            st.warning(f"Stage {record.stage.value}: {record.error}")
    if outcome.build.state is State.CANCELLED:
        st.warning("This build was cancelled. What its finished stages found is below.", icon=":material/cancel:")


def follow_running(outcome: Outcome) -> None:
    """How far a build is; the page loads anew when it ends."""
    st.fragment(_running, run_every=REFRESH_SECONDS)(outcome.build.key)


def _running(key: str) -> None:
    build = services.outcome(key).build
    if build.state not in (State.WAITING, State.RUNNING):
        st.rerun()
    done = sum(record.state in (State.DONE, State.FAILED) for record in build.stages)
    running = next((record.stage.value for record in build.stages if record.state is State.RUNNING), None)
    st.progress(done / max(1, len(build.stages)), text=f"Stage {running} is running" if running else "Waiting for a worker")
    try:
        jobs = services.queue().jobs(states=(JobState.QUEUED, JobState.RUNNING))
    except EngineRoomError as error:
        show_error(error)
        return
    if job := next((job for job in jobs if job.key == key), None):
        links.link(links.JOBS, "Follow its job", icon=":material/schedule:", job=job.id)


def headline(outcome: Outcome) -> None:
    """The figures, each with what it is to be held against."""
    with st.container(horizontal=True, gap="small"):
        _latency(outcome.measurement)
        _size(outcome)
        _times(outcome)
        _memory(outcome.measurement)
        _parity(outcome.parity)
        _precision(outcome)


def _figure(label: str, value: str, below: str, help: str | None = None) -> None:
    with st.container(width=176, gap=None):
        st.metric(label, value, help=help)
        st.caption(below)


def _latency(measured: Measurement | None) -> None:
    if measured is None:
        _figure("Median latency", NOT_MEASURED, "The stage that measures has not run or failed.")
        return
    latency = measured.latency
    tails = " · ".join(
        f"{name} {formatting.milliseconds(value) if value is not None else 'too few samples'}"
        for name, value in (("p90", latency.p90_ms), ("p99", latency.p99_ms))
    )
    _figure(
        "Median latency",
        formatting.milliseconds(latency.median_ms),
        f"{latency.low_ms:.4g} to {latency.high_ms:.4g} ms (95 %)  \n{tails}",
        help=f"With the median's 95 % interval of {latency.samples:,} samples, host to host; see Measurement.",
    )


def _size(outcome: Outcome) -> None:
    model = outcome.model
    built = outcome.built
    value = formatting.size(built.engine.size_bytes) if built else "not built"
    against = [f"source on disk {formatting.size(model.size_bytes)}{_times_as(built, model.size_bytes)}"]
    if model.frozen_bytes:
        against.append(f"frozen weights {formatting.size(model.frozen_bytes)}{_times_as(built, model.frozen_bytes)}")
    _figure("Engine size", value, "  \n".join(against), help="Of the files that a deployment needs.")


def _times_as(built: object, base: int) -> str:
    size_bytes = built.engine.size_bytes if built else None  # type: ignore[attr-defined]
    return f" ({size_bytes / base:.2f}×)" if size_bytes and base else ""


def _times(outcome: Outcome) -> None:
    built, measured = outcome.built, outcome.measurement
    value = _built_in(built.build_seconds) if built else "not built"
    below = []
    if measured:
        below.append(f"loads in {formatting.milliseconds(measured.load_ms)}")
        below.append(f"first inference {formatting.milliseconds(measured.first_ms)}")
    _figure(
        "Build time",
        value,
        "  \n".join(below) or "Loading was not measured.",
        help="From the prepared model's file to the finished engine; conversion not counted in.",
    )


def _built_in(seconds: float) -> str:
    return formatting.seconds(seconds) if seconds >= 1 else formatting.milliseconds(1000 * seconds)


def _memory(measured: Measurement | None) -> None:
    if measured is None:
        _figure("Memory", NOT_MEASURED, "")
        return
    own = measured.peak_memory_bytes - measured.baseline_memory_bytes
    _figure(
        "Memory",
        formatting.size(own),
        f"above {formatting.size(measured.baseline_memory_bytes)} of the process before loading",
        help="Peak resident size of the measuring process, less what it had before it loaded the engine.",
    )


def _parity(parity: Parity | None) -> None:
    if parity is None:
        _figure("Parity", "not checked", "Nothing tells whether its outputs are right.")
        return
    worst = parity.worst_output
    error = f"relative error {worst.max_rel:.1e}" if worst and worst.max_rel is not None else ""
    agreement = f"top-1 agrees {formatting.percent(worst.top1)}" if worst and worst.top1 is not None else ""
    told = "  \n".join(part for part in (error, agreement) if part) or (
        "all outputs were empty" if parity.on_par is None else f"against {parity.reference}"
    )
    _figure("Parity", parity.verdict, told, help=f"Against {parity.reference}, on {parity.inputs}.")


def _precision(outcome: Outcome) -> None:
    view = layer_view(outcome.build.key)
    if view is None:
        return
    first = totals_by_precision(view.rows)[0]
    share = (
        f"{formatting.percent(first.share)} of the time"
        if first.share is not None
        else f"{first.layers} of {len(view.rows)} layers"
    )
    fused = len(view.graph.fused_layers)
    _figure(
        "Layers",
        f"{len(view.rows):,}",
        f"from {formatting.plural(len(view.graph.source_nodes), 'source node')}, {fused:,} fused  \n{share} in {first.key}",
        help="A fused layer carries out more than one source node.",
    )
