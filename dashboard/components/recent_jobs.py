"""The newest jobs of everybody, as rows that lead to the engine when it is done and to the job before that."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.jobs.job import Job, JobState
from dashboard import links
from dashboard.components.job_status import show_state, status_line, title


def job_rows(jobs: Sequence[Job]) -> None:
    for job in jobs:
        with st.container(border=True):
            name, state = st.columns([4, 3], vertical_alignment="center")
            with name:
                if job.state is JobState.DONE:
                    links.link(links.ENGINE, title(job), icon=":material/memory:", build=job.key)
                else:
                    links.link(links.JOBS, title(job), icon=":material/list:", job=job.id)
            with state:
                show_state(job)
                st.caption(status_line(job))
