"""The report as a download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st

from core.report.page import report
from core.stages.outcome import Outcome
from dashboard import services


def report_button(outcomes: Sequence[Outcome], name: str, width: Literal["stretch", "content"] = "stretch") -> None:
    """Makes the report when it is asked for, not before."""
    st.download_button(
        "Report as HTML",
        lambda: report(outcomes, duels=services.duels()),
        name,
        "text/html",
        on_click="ignore",
        width=width,
        icon=":material/description:",
    )
