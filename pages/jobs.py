"""Jobs: everyone's queue, or one job with its stages and log."""

from __future__ import annotations

import streamlit as st

from dashboard import links, services
from dashboard.components.job_detail import live_job
from dashboard.components.job_list import live_jobs

st.title("Jobs")
if not any(worker.alive for worker in services.queue().workers()):
    st.warning("No worker is running, so queued jobs wait. Start one with `engineroom worker`.", icon=":material/warning:")

if job_id := links.chosen("job"):
    links.link(links.JOBS, "All jobs", icon=":material/arrow_back:")
    live_job(job_id)
else:
    live_jobs()
