"""An engine that does not run where it was built: where it can, the job that runs it there, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.base.errors import EngineRoomError
from core.base.gpus import RunsOn, either
from core.jobs.job import Job, JobKind, JobState, Worker
from core.jobs.runs import able, what_runs, why_not
from core.stages.outcome import Outcome
from core.storage.builds import Build, State
from dashboard import services
from dashboard.components.job_follow import show_going
from dashboard.components.job_list import act
from dashboard.failures import show_error
from dashboard.formatting import plain

REFRESH_SECONDS = 2.0


def run_section(outcome: Outcome) -> None:
    """Shows nothing for an engine that runs where it was built."""
    build = outcome.build
    if build.state is not State.DONE or not (build.not_run or build.ran_elsewhere):
        return
    try:
        runs_on, last = what_runs(outcome), _last_run(build.key)
        workers = services.queue().workers()
    except EngineRoomError as error:
        show_error(error)
        return
    with st.container(border=True):
        if last and not last.state.finished:
            st.fragment(_follow, run_every=REFRESH_SECONDS)(last.id)
        else:
            _offer(build, runs_on, workers, last)


def _last_run(key: str) -> Job | None:
    return next((job for job in services.queue().jobs() if _is_run(job) and job.key == key), None)


def _is_run(job: Job) -> bool:
    return job.kind is JobKind.RUN and not job.measures_again


def _follow(job_id: str) -> None:
    """The job that runs it; the page loads anew when it ends."""
    job = services.queue().job(job_id)
    if job.state.finished:
        st.rerun()
    show_going(job, "Its run where it can", "run")
    if job.state is not JobState.RUNNING and job.waits_for and job.runs_on:
        st.caption(plain(_who(job.runs_on, services.queue().workers())))


def _offer(build: Build, runs_on: RunsOn, workers: Sequence[Worker], last: Job | None) -> None:
    """Where its figures are from, or where it can be run, and the button that has it run."""
    text, button = st.columns([5, 1], vertical_alignment="center")
    with text:
        if place := build.ran_elsewhere:
            built = f" Built on {plain(build.built_on.text)}." if build.built_on else ""
            st.markdown(f":material/lan: **Run on {plain(place.text)}**, where its figures were taken.{built}")
        else:
            st.markdown(f":material/lan: **Not run yet.** It runs on {plain(runs_on.where)}.")
        if told := _failure(build, last):
            st.warning(plain(told), icon=":material/error:")
        if not able(workers, runs_on):
            st.caption(plain(f"{_who(runs_on, workers)} A run that is asked for waits for {runs_on.worker}."))
        elif not build.ran_elsewhere:
            st.caption(plain(_who(runs_on, workers)))
    failed = last is not None and last.state is JobState.FAILED
    again = "Try again" if failed else "Run again" if build.ran_elsewhere else "Run where it can"
    if button.button(again, icon=":material/play_arrow:", key=f"run-{build.key}", width="stretch"):
        act(lambda: services.queue().run(build.key))


def _failure(build: Build, last: Job | None) -> str:
    """Why the last run failed; empty when it did not."""
    if last and last.state is JobState.FAILED and last.error:
        kept = " The figures are those of the run before." if build.ran_elsewhere else ""
        return f"The last run failed: {last.error.message} {last.error.hint}{kept}"
    return f"The last run failed: {build.failed_run}" if build.failed_run else ""


def _who(runs_on: RunsOn, workers: Sequence[Worker]) -> str:
    """Which of the workers can run it, or why none does."""
    if found := able(workers, runs_on):
        return f"{found[0].card.place.text} has what it takes."
    near = [worker.card for worker in workers if worker.alive and worker.card.device_type in runs_on.devices]
    if not near:
        return f"No worker for {either(runs_on.devices)} is running."
    reasons = (f"{card.device_name} of {card.host} {why_not(card, runs_on)}" for card in near)
    return f"None of the workers that are running can: {'; '.join(reasons)}."
