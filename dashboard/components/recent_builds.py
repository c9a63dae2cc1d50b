"""The newest builds of everybody: jobs of the queue, and what was built in the foreground by `engineroom build`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from core.base import units
from core.jobs.job import Job, JobKind, JobState
from core.storage.builds import Build, State
from dashboard import links, services
from dashboard.components.job_status import COLOURS, STAGE_ICONS, show_state, status_line, title
from dashboard.components.settings_line import settings_line
from dashboard.components.weak_badge import weak_badge
from dashboard.formatting import plain

REFRESH_SECONDS = 5.0
UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
MOST_UNFINISHED = 200


@st.fragment(run_every=REFRESH_SECONDS)
def show_recent_builds(limit: int) -> None:
    """Asked anew every few seconds; each leads to its engine, a job that is not done to the job."""
    queue = services.queue()
    jobs = queue.jobs(limit=4 * limit)
    known = {job.id for job in jobs}
    jobs += [job for job in queue.jobs(states=UNFINISHED, limit=MOST_UNFINISHED) if job.id not in known]
    for entry in newest(jobs, services.recent_builds(2 * limit), limit):
        with st.container(border=True):
            _job_row(entry) if isinstance(entry, Job) else _build_row(entry)
    if jobs:
        links.link(links.JOBS, "All jobs", icon=":material/arrow_forward:")
    elif not services.recent_builds(1):
        st.caption("None yet. Open a model and build it: progress shows here, for everybody.")


def newest(jobs: Sequence[Job], builds: Sequence[Build], limit: int) -> list[Job | Build]:
    """Both together: what runs, what waits, then what ended last; a build that a job has made is shown as that job."""
    made = {job.key for job in jobs if job.kind is JobKind.BUILD}
    entries: list[Job | Build] = [*jobs, *(build for build in builds if build.key not in made)]
    return sorted(entries, key=_order, reverse=True)[:limit]


def _order(entry: Job | Build) -> tuple[bool, bool, float]:
    if isinstance(entry, Job):
        return entry.state is JobState.RUNNING, not entry.state.finished, entry.finished_at or entry.submitted_at
    return entry.state is State.RUNNING, entry.finished_at is None, entry.latest_at


def _job_row(job: Job) -> None:
    name, state = st.columns([1, 1], vertical_alignment="center")
    with name:
        if job.duel and job.state is JobState.DONE:
            links.link(links.COMPARE, title(job, settings=False), icon=":material/bar_chart:", model=job.duel.model)
        elif (job.state is JobState.DONE or job.kind is JobKind.RUN) and services.may_have_build(job.key):
            links.link(links.ENGINE, title(job, settings=False), icon=":material/memory:", build=job.key)
        else:
            links.link(links.JOBS, title(job, settings=False), icon=":material/list:", job=job.id)
        if not job.duel:
            settings_line(job.request)
    with state, st.container(horizontal=True, vertical_alignment="center"):
        show_state(job)
        if job.state is JobState.DONE:
            weak_badge(services.weak_words(job.key))
        st.caption(plain(status_line(job)))


def _build_row(build: Build) -> None:
    name, state = st.columns([1, 1], vertical_alignment="center")
    with name:
        request = build.request
        text = plain(f"{services.model_name(request.model)}: {request.title}")
        links.link(links.ENGINE, text, icon=":material/memory:", build=build.key)
        settings_line(request)
    with state, st.container(horizontal=True, vertical_alignment="center"):
        st.badge(build.state.value, icon=STAGE_ICONS[build.state], color=COLOURS[build.state.value])
        if build.state is State.DONE:
            weak_badge(services.weak_words(build.key))
        when = units.ago(build.latest_at, time.time())
        going = build.state in (State.WAITING, State.RUNNING)
        st.caption(f"{'begun' if going else build.state.value} {when}, in the foreground")
