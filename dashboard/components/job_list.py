"""Everyone's queue, kept up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import streamlit as st

from core.base.errors import EngineRoomError
from core.jobs.job import Answer, Job, JobKind, JobState
from dashboard import links, services
from dashboard.components.job_status import share_done, show_state, status_line, title
from dashboard.components.redraw import redraw_when
from dashboard.failures import show_error
from dashboard.formatting import plain, sentence

SEEN = "jobs-seen"
RETRIED = "jobs-retried"  # session state: what to tell of a retry once the page is drawn anew
SHOWN_FINISHED = 30
REFRESH_SECONDS = 1.0  # while a job waits or runs
IDLE_SECONDS = 2.0
WORDS_SECONDS = 20.0  # "5 min ago" may be so late
DETAIL = "detail"
# How a request was met, after what was requested.
WORDS = {
    Answer.QUEUED: "is queued",
    Answer.JOINED: "is being built already; you have joined that job",
    Answer.STORED: "was built before; nothing needs to run",
}


def live_jobs() -> None:
    """The queue, drawn anew every second while there is any, and the latest finished jobs, drawn anew when they have changed."""
    revision = _revision()
    try:
        jobs = services.queue().jobs()
    except EngineRoomError as error:
        show_error(error)
        redraw_when(lambda: _revision() is not None, IDLE_SECONDS)
        return
    announce(jobs)
    tell_retried()
    waiting = any(not job.state.finished for job in jobs)
    finished = [job for job in jobs if job.state.finished]
    if not jobs:
        st.info("Nothing has been built yet.", icon=":material/schedule:")
        links.link(links.BUILD, "Build something", icon=":material/play_arrow:")
    else:
        st.fragment(_waiting, run_every=REFRESH_SECONDS if waiting else None)()
    if finished:
        st.header("Finished")
    shown = finished[:SHOWN_FINISHED]
    for job in shown:
        _job_row(job)
    if len(finished) > SHOWN_FINISHED:
        st.caption(f"{len(finished) - SHOWN_FINISHED} older ones are not shown; `engineroom jobs` lists them.")
    drawn_at, lines = time.monotonic(), [status_line(job) for job in shown]

    def is_stale() -> bool:
        if _revision() != revision:
            return True
        return time.monotonic() - drawn_at > WORDS_SECONDS and [status_line(job) for job in shown] != lines

    redraw_when(is_stale, REFRESH_SECONDS if waiting else IDLE_SECONDS)


def _revision() -> object | None:
    """None while the queue cannot be asked."""
    try:
        return services.queue().revision()
    except EngineRoomError:
        return None


def _waiting() -> None:
    try:
        waiting = services.queue().jobs(states=(JobState.QUEUED, JobState.RUNNING))
    except EngineRoomError as error:
        show_error(error)
        return
    st.header(f"Running and waiting: {len(waiting)}")
    if not waiting:
        st.caption("The queue is empty.")
    for job in sorted(waiting, key=_queue_order):
        _job_row(job)


def announce(jobs: Sequence[Job]) -> None:
    """A toast for each job that ended since this session last looked."""
    before: dict[str, JobState] | None = st.session_state.get(SEEN)
    st.session_state[SEEN] = (before or {}) | {job.id: job.state for job in jobs}
    for job in jobs:
        if before and job.id in before and job.state.finished and not before[job.id].finished:
            icon = ":material/check_circle:" if job.state is JobState.DONE else ":material/error:"
            st.toast(f"{title(job)}: {job.state.value}", icon=icon)


def tell_retried() -> None:
    if told := st.session_state.pop(RETRIED, None):
        st.toast(told, icon=":material/replay:")


def show_actions(job: Job, where: str) -> None:
    """What can be done with a job in its state."""
    queue = services.queue()
    if job.duel:
        links.link(links.COMPARE, "Compare", icon=":material/bar_chart:", model=job.duel.model)
    elif (job.state is JobState.DONE or job.kind is JobKind.RUN) and services.may_have_build(job.key):
        links.link(links.ENGINE, "Engine", icon=":material/memory:", build=job.key)
    if job.can_retry:
        if st.button("Retry", icon=":material/replay:", key=f"{where}-retry-{job.id}"):
            _retry(job, where)
    elif not job.state.finished and st.button("Cancel", icon=":material/close:", key=f"{where}-cancel-{job.id}"):
        act(lambda: queue.cancel(job.id))


def _retry(job: Job, where: str) -> None:
    """Queues it again; a page of one job goes on with the new one, or with the engine where that was built since."""
    try:
        answer = services.queue().retry(job.id)
    except EngineRoomError as error:
        show_error(error)
        return
    told = f"{title(job)} {WORDS[answer.answer]}."
    st.session_state[RETRIED] = f"{told} {sentence(answer.note)}".strip()
    if answer.answer is Answer.STORED:
        links.go(links.ENGINE, build=answer.key)
    if where == DETAIL:
        links.go(links.JOBS, job=answer.job)
    st.rerun()


def act(action: Callable[[], object]) -> None:
    """Does something with the queue and runs the page again; an error is shown."""
    try:
        action()
    except EngineRoomError as error:
        show_error(error)
    else:
        st.rerun()


def _queue_order(job: Job) -> tuple[bool, int, float]:
    return job.state is not JobState.RUNNING, int(job.priority), job.submitted_at


def _job_row(job: Job) -> None:
    with st.container(border=True):
        state, what, actions = st.columns([1, 5, 2], vertical_alignment="center")
        with state:
            show_state(job)
        with what:
            st.markdown(f"**{title(job)}**")
            if job.state is JobState.RUNNING:
                st.progress(share_done(job), text=plain(status_line(job)))
            else:
                st.caption(plain(status_line(job)))
        with actions, st.container(horizontal=True, horizontal_alignment="right"):
            links.link(links.JOBS, "Details", icon=":material/article:", job=job.id)
            show_actions(job, "list")
