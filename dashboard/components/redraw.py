"""Has a page drawn anew when what it shows has changed, and only then."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def redraw_when(is_stale: Callable[[], bool], seconds: float) -> None:
    """Asks so often whether what this run of the page has drawn is stale, and runs the page again once it is.

    A fragment that draws what it asks for sends all of it each time, and the browser lays it all out again; this one draws
    nothing. Asking has to be cheap. It goes to the end of what it watches: a run of the page asks at once, too.
    """

    def look() -> None:
        if is_stale():
            st.rerun()

    st.fragment(look, run_every=seconds)()
