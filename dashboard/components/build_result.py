"""What became of submitted requests, with links to where they go on."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.jobs.job import Answer, Submitted
from core.models.model import Model
from core.request.build_request import BuildRequest
from dashboard import links
from dashboard.components.job_list import WORDS
from dashboard.formatting import plain, sentence


def show_submitted(submitted: Sequence[Submitted], requests: Sequence[BuildRequest], model: Model) -> None:
    for note in dict.fromkeys(answer.note for answer in submitted if answer.note):
        st.warning(sentence(note), icon=":material/warning:")
    for answer, request in zip(submitted, requests, strict=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(request.full_title)}** {WORDS[answer.answer]}.")
            if answer.answer is Answer.STORED:
                links.link(links.ENGINE, "Open the engine", icon=":material/memory:", build=answer.key)
            else:
                links.link(links.JOBS, "Follow the job", icon=":material/schedule:", job=answer.job)
    if len(submitted) > 1:
        links.link(links.JOBS, "All jobs", icon=":material/list:")
    links.link(links.COMPARE, "Compare this model's builds", icon=":material/bar_chart:", model=model.digest)
