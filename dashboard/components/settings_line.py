"""What sets a build apart from others of its path and precision, below its name."""

from __future__ import annotations

import streamlit as st

from core.request.build_request import BuildRequest
from dashboard.formatting import plain


def settings_line(request: BuildRequest) -> None:
    """Nothing where all settings are the defaults."""
    if request.settings_text:
        st.caption(plain(request.settings_text))
