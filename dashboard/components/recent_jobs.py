"""The newest jobs of everybody, as rows that lead to the engine when it is done and to the job before that."""

from __future__ import annotations

import streamlit as st

from core.jobs.job import Job, JobState
from dashboard import links, services
from dashboard.components.job_status import show_state, status_line, title

REFRESH_SECONDS = 5.0


@st.fragment(run_every=REFRESH_SECONDS)
def show_recent_jobs(limit: int) -> None:
    """Asked anew every few seconds."""
    jobs = services.queue().jobs(limit=limit)
    for job in jobs:
        _row(job)
    if jobs:
        links.link(links.JOBS, "All jobs", icon=":material/arrow_forward:")
    else:
        st.caption("None yet. Open a model and build it: progress shows here, for everybody.")


def _row(job: Job) -> None:
    with st.container(border=True):
        name, state = st.columns([4, 3], vertical_alignment="center")
        with name:
            if job.state is JobState.DONE:
                links.link(links.ENGINE, title(job), icon=":material/memory:", build=job.key)
            else:
                links.link(links.JOBS, title(job), icon=":material/list:", job=job.id)
        with state, st.container(horizontal=True, vertical_alignment="center"):
            show_state(job)
            st.caption(status_line(job))
