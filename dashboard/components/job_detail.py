"""One job: its stages, its log, what can be done with it."""

from __future__ import annotations

import streamlit as st

from core.base import units
from core.base.errors import EngineRoomError
from core.jobs.job import Job, JobKind
from core.request.commands import bench_command_for, command_for, duel_command_for, run_command_for
from dashboard import links, services
from dashboard.components.job_list import DETAIL, REFRESH_SECONDS, announce, show_actions, tell_retried
from dashboard.components.job_status import share_done, show_stages, show_state, status_line, title
from dashboard.failures import show_error
from dashboard.formatting import plain

LOG_HEIGHT = 360


def live_job(job_id: str) -> None:
    """One job, refreshed by itself until it ends."""
    try:
        job = services.queue().job(job_id)
    except EngineRoomError as error:
        show_error(error)
        return
    live = not job.state.finished
    st.fragment(_job, run_every=REFRESH_SECONDS if live else None)(job_id, live)


def _job(job_id: str, live: bool) -> None:
    try:
        job = services.queue().job(job_id)
    except EngineRoomError as error:
        show_error(error)
        return
    if live and job.state.finished:
        st.rerun()  # the whole page, which then is not refreshed any more
    announce([job])
    tell_retried()
    st.header(title(job))
    with st.container(horizontal=True, vertical_alignment="center"):
        show_state(job)
        st.caption(plain(status_line(job)))
        show_actions(job, DETAIL)
    if not job.state.finished:
        st.progress(share_done(job))
    left, right = st.columns([1, 2])
    with left:
        st.markdown("**Stages**")
        show_stages(job)
        _facts(job)
    with right:
        st.markdown("**Log**")
        _log(job)


def _facts(job: Job) -> None:
    st.caption(
        f"Job {job.id} · {'head-to-head' if job.duel else 'build'} {units.digest(job.key)} · device {plain(job.device)} · "
        f"attempt {max(1, job.attempt)} · worker {plain(job.worker or units.UNKNOWN)}"
    )
    if job.error and job.error.detail:
        with st.expander("Details of the error"):
            st.code(job.error.detail, language=None)
    command = command_for(job.request, services.workspace().data_path)
    if job.kind is JobKind.RUN:
        command = (
            bench_command_for(job.key, elsewhere=job.runs_on is not None) if job.measures_again else run_command_for(job.key)
        )
    if job.duel:
        command = duel_command_for(job.duel.keys)
    st.code(command, language=None, wrap_lines=True)
    if not services.has_model(job.request.model):
        st.caption("Its model is not stored here any more.")
        return
    links.link(links.MODEL, "The model", icon=":material/inventory_2:", model=job.request.model)
    links.link(links.COMPARE, "Compare its builds", icon=":material/bar_chart:", model=job.request.model)


def _log(job: Job) -> None:
    text = services.queue().log(job.id).text
    if not text.strip():
        st.caption("Nothing has been logged yet." if not job.state.finished else "The stages logged nothing.")
        return
    st.code(text, language=None, height=LOG_HEIGHT)
