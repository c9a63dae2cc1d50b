"""An engine measured again, where its figures are from: the button, the job that does it, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.analysis.comparison_row import ComparisonRow
from core.base.errors import EngineRoomError
from core.base.units import plural
from core.jobs.job import Job, JobState
from core.request.commands import bench_command_for
from core.stages.outcome import Outcome
from core.storage.builds import State
from dashboard import links, services
from dashboard.components.job_follow import show_going
from dashboard.components.job_list import act
from dashboard.components.job_status import show_state, status_line
from dashboard.failures import show_error
from dashboard.formatting import plain

REFRESH_SECONDS = 1.0
ICON = ":material/replay:"
LABEL = "Measure again"


def measure_again_section(outcome: Outcome) -> None:
    """Below the figures: the job that is at it, why the last one failed; for a weak figure the button, and for others nothing."""
    measured, key = outcome.measurement, outcome.build.key
    if measured is None or outcome.build.state is not State.DONE:
        return
    try:
        job = _job_at(key)
    except EngineRoomError as error:
        show_error(error)
        return
    if job and not job.state.finished:
        st.fragment(_follow, run_every=REFRESH_SECONDS)(job.id)
        return
    if job and job.state is not JobState.DONE:
        with st.container(horizontal=True, vertical_alignment="center"):
            show_state(job)
            st.caption(plain(f"Measuring again {status_line(job)}. The figure is the one from before."))
            links.link(links.JOBS, "The job", icon=":material/schedule:", job=job.id)
    if measured.weaknesses:
        with st.container(horizontal=True, vertical_alignment="center"):
            measure_again_button(key, "head")
            st.caption("The latency is weak. Another takes its place when it was taken to its end.")
            st.code(bench_command_for(key, elsewhere=outcome.build.ran_elsewhere is not None), language=None, wrap_lines=True)


def measure_again_button(key: str, where: str) -> None:
    """Queues it.

    Args:
        where: On the page, for there may be several.
    """
    if st.button(LABEL, icon=ICON, key=f"again-{where}-{key}"):
        act(lambda: _send([key]))


def weak_rows_button(chosen: Sequence[ComparisonRow]) -> None:
    """For the weak ones of the rows that were chosen on a board; nothing without any."""
    weak = [row for row in chosen if row.candidate.weak]
    if not weak:
        return
    label = LABEL if len(weak) == len(chosen) == 1 else f"{LABEL}: {plural(len(weak), 'weak figure')}"
    if st.button(label, icon=ICON, key="again-board"):
        try:
            _send([row.key for row in weak])
        except EngineRoomError as error:
            show_error(error)
            return
        links.go(links.JOBS)


def _send(keys: Sequence[str]) -> None:
    for key in keys:
        st.session_state[_remembered(key)] = services.queue().measure(key).job


def _job_at(key: str) -> Job | None:
    """The job that is at it, by whomever it was asked for; else the last one that this session followed."""
    going = services.queue().jobs(states=(JobState.QUEUED, JobState.RUNNING))
    found = next((job for job in going if job.key == key and job.measures_again), None)
    if found:
        st.session_state[_remembered(key)] = found.id
        return found
    last = st.session_state.get(_remembered(key))
    return services.queue().job(last) if last else None


def _remembered(key: str) -> str:
    return f"again-job-{key}"


def _follow(job_id: str) -> None:
    """The page loads anew when it ends."""
    try:
        job = services.queue().job(job_id)
    except EngineRoomError as error:
        show_error(error)
        return
    if job.state.finished:
        st.rerun()
    with st.container(border=True):
        show_going(job, "Measuring again", "again")
