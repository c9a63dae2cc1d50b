"""A job that a page waits for: how far it is, where to follow it, and how to end it."""

from __future__ import annotations

import streamlit as st

from core.jobs.job import Job, JobState
from dashboard import links, services
from dashboard.components.job_list import act
from dashboard.components.job_status import share_done, show_state, status_line
from dashboard.formatting import plain


def show_going(job: Job, what: str, key: str) -> None:
    """Draws it.

    Args:
        what: It does, as Markdown.
        key: Of the button that cancels it, before the job's id.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        show_state(job)
        st.markdown(f"**{what}**")
        st.caption(plain(status_line(job)))
        links.link(links.JOBS, "Follow its job", icon=":material/schedule:", job=job.id)
        if st.button("Cancel", icon=":material/close:", key=f"{key}-cancel-{job.id}"):
            act(lambda: services.queue().cancel(job.id))
    if job.state is JobState.RUNNING:
        st.progress(share_done(job))
