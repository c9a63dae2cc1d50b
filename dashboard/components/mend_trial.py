"""A mend tried on the page: a button queues the build with that change alone, the page follows it and shows before and after."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.analysis.finding import Mend
from core.analysis.standing import Change, changes, standing, verdict
from core.base.errors import EngineRoomError
from core.jobs.job import Job, JobState
from core.stages.outcome import Outcome
from core.storage.builds import State
from dashboard import links, services
from dashboard.components.job_status import share_done, show_state, status_line
from dashboard.components.layer_view import outcome, stamp
from dashboard.failures import show_error
from dashboard.formatting import plain

REFRESH_SECONDS = 1.0
NOTE = "trial-note"


def trials_of(mends: list[Mend]) -> Mapping[str, Job]:
    """The newest job of each mend's build, by the build's key; of those that were ever queued."""
    wanted = {mend.request.key for mend in mends}
    if not wanted:
        return {}
    try:
        jobs = services.queue().jobs()
    except EngineRoomError as error:
        show_error(error)
        return {}
    return {job.key: job for job in reversed(jobs) if job.key in wanted}


def mend_trial(before: Outcome, mend: Mend, job: Job | None) -> None:
    """What the mend is, and what became of it where it was tried.

    Args:
        before: The build that the finding is of.
        job: The newest one that builds it with the mend.
    """
    st.markdown(f"**{plain(mend.title)}**  \n{plain(mend.cost)}")
    key = mend.request.key
    if job and not job.state.finished:
        st.fragment(_follow, run_every=REFRESH_SECONDS)(job.id)
        return
    after = outcome(key) if stamp(key) or (job and job.state is JobState.DONE) else None
    if after and after.build.state is State.DONE:
        _compared(before, after)
        return
    if job and job.state in (JobState.FAILED, JobState.CANCELLED):
        with st.container(horizontal=True, vertical_alignment="center"):
            show_state(job)
            st.caption(plain(status_line(job)))
            links.link(links.JOBS, "The job", icon=":material/schedule:", job=job.id)
    _offer(mend)


def _offer(mend: Mend) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Try it", icon=":material/science:", key=f"try-{mend.request.key}"):
            try:
                submitted = services.queue().submit(mend.request)
            except EngineRoomError as error:
                show_error(error)
                return
            st.session_state[NOTE] = submitted.note
            st.rerun()
        st.code(mend.command, language=None, wrap_lines=True)


def _follow(job_id: str) -> None:
    try:
        job = services.queue().job(job_id)
    except EngineRoomError as error:
        show_error(error)
        return
    if job.state.finished:
        st.rerun()
    if note := st.session_state.get(NOTE):
        st.warning(plain(note), icon=":material/warning:")
    st.progress(share_done(job), text=plain(status_line(job)))
    with st.container(horizontal=True, vertical_alignment="center"):
        show_state(job)
        links.link(links.JOBS, "Follow its job", icon=":material/schedule:", job=job.id)


def _compared(before: Outcome, after: Outcome) -> None:
    if before.graph is None or after.graph is None:
        st.info("The build with this change told no layers, so nothing can be compared.", icon=":material/layers_clear:")
    else:
        old, new = (standing(graph, _size(one)) for graph, one in ((before.graph, before), (after.graph, after)))
        st.markdown(f"**Tried.** {plain(verdict(old, new))}")
        st.table(_frame(changes(old, new)), hide_index=True, border="horizontal", alt="This build and the one with the change")
    keys = f"{before.build.key},{after.build.key}"
    with st.container(horizontal=True):
        links.link(links.ENGINE, "Open the build with it", icon=":material/memory:", build=after.build.key)
        links.link(links.COMPARE, "Compare side by side", icon=":material/bar_chart:", builds=keys)


def _size(one: Outcome) -> int | None:
    return one.built.engine.size_bytes if one.built else None


def _frame(rows: tuple[Change, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "": [row.label for row in rows],
            "This build": [row.before for row in rows],
            "With the change": [row.after for row in rows],
            "Change": [_coloured(row) for row in rows],
        }
    )


def _coloured(row: Change) -> str:
    if row.better is None:
        return row.change
    return f":{'green' if row.better else 'orange'}[{row.change}]"
