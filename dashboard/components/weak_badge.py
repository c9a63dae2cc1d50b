"""The badge of a weak figure: noisy, drifting, taken beside other programs, on a clock that moved."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboard.formatting import badge, sentence

ICON = ":material/warning:"
COLOUR: Final = "orange"


def weak_badge(words: str, because: tuple[str, ...] = ()) -> None:
    """Draws nothing for a figure that is not weak.

    Args:
        words: "noisy, shared cores".
        because: The sentences behind them.
    """
    if words:
        st.badge(badge(words), icon=ICON, color=COLOUR, help=sentence(" ".join(because)) if because else None)


def weak_markdown(words: str) -> str:
    """The same within a line of Markdown, with a space before it; empty for a figure that is not weak."""
    return f" :{COLOUR}-badge[{ICON} {words}]" if words else ""
