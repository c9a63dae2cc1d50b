"""Errors as sentences with a way out, and details on demand; never a bare traceback."""

from __future__ import annotations

import logging
import traceback

import streamlit as st

from core.base.errors import EngineRoomError
from dashboard.formatting import sentence

log = logging.getLogger(__name__)


def show_error(error: EngineRoomError) -> None:
    """An error we can name."""
    st.error(sentence(error.message), icon=":material/error:")
    if error.hint:
        st.caption(f"What to do: {sentence(error.hint)}")
    if error.detail:
        with st.expander("Details"):
            st.code(error.detail, language=None)


def show_failure(error: Exception) -> bool:
    """What a page shows when its script fails; Streamlit calls this."""
    if isinstance(error, EngineRoomError):
        show_error(error)
        return True
    log.error("A page failed", exc_info=error)
    st.error(f"This page failed: {type(error).__name__}.", icon=":material/error:")
    st.caption("What to do: reload the page. If it comes back, the details below are what to report.")
    with st.expander("Details"):
        st.code("".join(traceback.format_exception(error)), language="python")
    return True
