"""A job's state in words, colours and bars."""

from __future__ import annotations

import time
from typing import Literal

import streamlit as st

from core.analysis.summary import NOT_RUN
from core.base import units
from core.base.units import listed
from core.jobs.job import Job, JobKind, JobState
from core.storage.builds import StageRecord, State
from dashboard.formatting import plain, sentence

# Of a job's, a build's and a stage's states, by what they are called.
COLOURS: dict[str, Literal["gray", "blue", "green", "red", "orange"]] = {
    "queued": "gray",
    "waiting": "gray",
    "running": "blue",
    "done": "green",
    "failed": "red",
    "cancelled": "orange",
}
ICONS = {
    JobState.QUEUED: ":material/hourglass_empty:",
    JobState.RUNNING: ":material/play_circle:",
    JobState.DONE: ":material/check_circle:",
    JobState.FAILED: ":material/error:",
    JobState.CANCELLED: ":material/cancel:",
}
STAGE_ICONS = {
    State.WAITING: ":material/radio_button_unchecked:",
    State.RUNNING: ":material/pending:",
    State.DONE: ":material/check_circle:",
    State.FAILED: ":material/error:",
    State.CANCELLED: ":material/cancel:",
}


def show_state(job: Job) -> None:
    st.badge(job.state.value, icon=ICONS[job.state], color=COLOURS[job.state.value])


def title(job: Job, *, settings: bool = True) -> str:
    """As Markdown.

    Args:
        settings: Those that are no defaults too.
    """
    if job.duel:
        names = listed([one.title for one in job.duel.contestants], 3)
        return f"{plain(job.model_name)}: head to head, {plain(names)}"
    told = f"{plain(job.model_name)}: {plain(job.request.full_title if settings else job.request.title)}"
    if job.measures_again:
        return f"{told}, measured again"
    return f"{told}, run where it can" if job.kind is JobKind.RUN else told


def share_done(job: Job) -> float:
    """From 0 to 1: finished stages, and the running one by its own progress."""
    if not job.stages:
        return 0.0
    done = sum(stage.state in (State.DONE, State.FAILED) for stage in job.stages)
    running = job.progress.fraction or 0.0 if job.progress and job.state is JobState.RUNNING else 0.0
    return min(1.0, (done + running) / len(job.stages))


def status_line(job: Job) -> str:
    """What is going on, how long it has taken and how long it may take."""
    now = time.time()
    if job.state is JobState.QUEUED and job.waits_for:
        return f"waits for {job.waits_for}, for {units.lasting(job.submitted_at, now)} now"
    if job.state is JobState.QUEUED:
        unknown = "nothing like it was built before, so nothing tells how long it takes"
        left = f"takes {job.left}" if job.left else unknown if job.kind is JobKind.BUILD else "how long it takes is not known"
        if job.waits_on:
            return f"waiting for {job.waits_on} · for {units.lasting(job.submitted_at, now)} now · {left}"
        return f"waiting for {units.lasting(job.submitted_at, now)} · {left}"
    if job.state is JobState.RUNNING:
        running = next((stage.stage.value for stage in job.stages if stage.state is State.RUNNING), "starting")
        doing = f"{running}: {job.progress.message}" if job.progress and job.progress.message else running
        spent = units.seconds(now - job.started_at) if job.started_at else units.UNKNOWN
        return f"{doing} · {spent} so far · {_left(job)}"
    took = f" after {units.seconds(job.finished_at - job.started_at)}" if job.finished_at and job.started_at else ""
    not_run = f", {NOT_RUN}" if job.not_run else ""
    ended = f"{job.state.value} {units.ago(job.finished_at, now)}{took}{not_run}"
    return f"{ended} · {job.error.message}" if job.error else ended


def _left(job: Job) -> str:
    """Of a running job: "2 to 5 min left", or that nothing tells."""
    if job.remaining_range is None:
        return "time left not known"
    return f"{job.left} left" if job.left else "about to end"


def show_stages(job: Job) -> None:
    """The stages as a line each: state, time, and what went wrong."""
    for record in job.stages:
        st.markdown(f"{STAGE_ICONS[record.state]} **{record.stage.value}** · {plain(_stage_time(record, job))}")
        if record.error:
            st.error(sentence(str(record.error)))


def _stage_time(record: StageRecord, job: Job) -> str:
    if record.state is State.RUNNING and record.started_at:
        message = f" · {job.progress.message}" if job.progress and job.progress.message else ""
        return f"{units.seconds(time.time() - record.started_at)} so far{message}"
    return units.seconds(record.seconds) if record.seconds is not None else record.state.value
