"""A baseline that is missing, offered to be built: nothing stands in for it without a word."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.analysis.baseline import missing_baseline
from core.base.errors import EngineRoomError
from core.models.model import Model
from core.request.commands import command_for
from core.storage.builds import Build
from dashboard import services
from dashboard.failures import show_error
from dashboard.formatting import plain

NOTE = "baseline-note"


def baseline_offer(model: Model, builds: Sequence[Build], unfinished: set[str]) -> None:
    """Draws nothing where the source's own framework in FP32 was measured, is being built, or cannot be built.

    Args:
        builds: All of the model's, newest first.
        unfinished: Keys that builds or jobs are at.
    """
    if note := st.session_state.pop(NOTE, ""):
        st.warning(plain(note), icon=":material/warning:")
    try:
        request = missing_baseline(model, builds, services.queue().workers())
    except EngineRoomError as error:
        show_error(error)
        return
    if request is None or request.key in unfinished:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"The baseline, **{plain(request.title)}**, was not measured.")
        if st.button("Build the baseline", icon=":material/play_arrow:", key=f"baseline-{request.key}"):
            try:
                submitted = services.queue().submit(request)
            except EngineRoomError as error:
                show_error(error)
                return
            st.session_state[NOTE] = submitted.note
            st.rerun()
        st.code(command_for(request, services.workspace().data_path), language=None, wrap_lines=True)
