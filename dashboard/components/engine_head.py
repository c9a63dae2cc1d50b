"""The top of the engine page: what it is, how it stands, and its figures at a glance."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.analysis.summary import NOT_RUN
from core.base.errors import EngineRoomError
from core.base.units import digest
from core.jobs.job import JobKind, JobState
from core.precision.calibration.ranges import UNCALIBRATED
from core.request.paths import path_title
from core.stages.outcome import Outcome
from core.storage.builds import State
from dashboard import links, services
from dashboard.components.job_status import COLOURS, STAGE_ICONS, status_line
from dashboard.components.layer_view import figures_of
from dashboard.components.settings_line import settings_line
from dashboard.components.weak_badge import weak_badge
from dashboard.failures import show_error
from dashboard.formatting import badge, plain, sentence

REFRESH_SECONDS = 2.0
TILE_PIXELS, NARROW_TILE_PIXELS = 168, 146
MANY_TILES = 8


def title_row(outcome: Outcome, downloads: Callable[[Outcome], None]) -> None:
    build, request = outcome.build, outcome.build.request
    st.title(f"{plain(outcome.model.name)}: {path_title(request.path)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(build.state.value, icon=STAGE_ICONS[build.state], color=COLOURS[build.state.value])
        st.badge(f"{request.precision.value} asked for", color="gray")
        st.badge(badge(request.device), color="gray")
        if outcome.parity and outcome.parity.on_par is False:
            st.badge(outcome.verdict, icon=":material/error:", color="red")
        if build.not_run and build.state is State.DONE:
            st.badge(NOT_RUN, icon=":material/timer_off:", color="orange")
        if outcome.stamp:
            st.badge(UNCALIBRATED, icon=":material/warning:", color="red", help=sentence(outcome.stamp))
        if build.ran_elsewhere:
            st.badge(badge(f"run on {build.ran_elsewhere.name}"), icon=":material/lan:", color="gray")
        st.caption(f"build {digest(build.key)}")
        settings_line(request)
        links.link(links.MODEL, "Model", icon=":material/inventory_2:", model=request.model)
        links.link(links.COMPARE, "Compare", icon=":material/bar_chart:", model=request.model)
        downloads(outcome)


def show_failed_stages(outcome: Outcome) -> None:
    """Why it failed, or what an optional stage could not do."""
    for record in outcome.build.all_stages:
        if record.error is None:
            continue
        if outcome.build.state is State.FAILED:
            st.markdown(f"**Stage {record.stage.value} failed.**")
            show_error(record.error.to_error())
        else:
            st.warning(f"Stage {record.stage.value}: {sentence(str(record.error))}")
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
    if job := next((job for job in jobs if job.key == key and job.kind is JobKind.BUILD), None):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(plain(status_line(job)))
            links.link(links.JOBS, "Follow its job", icon=":material/schedule:", job=job.id)


def headline(outcome: Outcome) -> None:
    """The figures, each with what it is to be held against, in a row on a screen of 1,440 pixels."""
    figures = figures_of(outcome.build.key)
    with st.container(horizontal=True, gap="small"):
        for figure in figures:
            with st.container(width=TILE_PIXELS if len(figures) < MANY_TILES else NARROW_TILE_PIXELS, gap=None):
                basis = f"{figure.basis[0].upper()}{figure.basis[1:]}." if figure.basis else None
                st.metric(figure.label, plain(figure.value), help=plain(basis) if basis else None)
                weak_badge(figure.weak, figure.because)
                st.caption("  \n".join(plain(text) for text in figure.against))
