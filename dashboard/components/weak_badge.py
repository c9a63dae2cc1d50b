"""The badge of a weak figure: noisy, drifting, taken beside other programs, on a clock that moved."""

from __future__ import annotations

import streamlit as st

from dashboard.formatting import sentence

ICON = ":material/warning:"
COLOUR = "orange"


def weak_badge(words: str, because: tuple[str, ...] = ()) -> None:
    """Draws nothing for a figure that is not weak.

    Args:
        words: "noisy, shared cores".
        because: The sentences behind them.
    """
    if words:
        st.markdown(weak_markdown(words).strip(), help=sentence(" ".join(because)) if because else None)


def weak_markdown(words: str) -> str:
    """A badge a word within a line of Markdown, so that they wrap, with a space before; empty for a figure that is not weak."""
    first, *others = words.split(", ")
    return "".join([f" :{COLOUR}-badge[{ICON} {first}]", *(f" :{COLOUR}-badge[{one}]" for one in others)]) if words else ""
