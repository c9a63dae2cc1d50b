"""Where every page is, and links to it: each view has a URL with its ids in the query.

`link(ENGINE, "Open the engine", build=key)` draws one, `go(...)` goes there, `url(...)` is its address for tables and components.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NoReturn
from urllib.parse import urlencode

import streamlit as st

# Relative to main.py, as Streamlit wants them.
HOME = "../pages/home.py"
MODEL = "../pages/model.py"
BUILD = "../pages/build.py"
JOBS = "../pages/jobs.py"
ENGINE = "../pages/engine.py"
COMPARE = "../pages/compare.py"
SYSTEM = "../pages/system.py"


def link(page: str, label: str, *, icon: str | None = None, **ids: str | None) -> None:
    """A link on the page; ids that are None are left out."""
    st.page_link(page, label=label, icon=icon, query_params=_given(ids))


def go(page: str, **ids: str | None) -> NoReturn:
    """Ends this run and shows another page."""
    st.switch_page(page, query_params=_given(ids))


def url(page: str, **ids: str | None) -> str:
    """The address of a page on this server, relative to its root."""
    name = "" if page == HOME else PurePosixPath(page).stem
    given = _given(ids)
    return f"/{name}" + (f"?{urlencode(given)}" if given else "")


def chosen(name: str) -> str | None:
    """An id from the address, None when it is not there."""
    return st.query_params.get(name) or None


def position(name: str, most: int) -> int | None:
    """A number from 1 to `most` in the address; None when there is none, or anything else."""
    given = chosen(name) or ""
    known = given.isascii() and given.isdecimal() and len(given) <= len(str(most))
    return int(given) if known and 1 <= int(given) <= most else None


def follow(name: str, key: str, value: object) -> Callable[[], None]:
    """Has the widget of that key show `value`, which the address tells, a step back's too; to be called right before it is drawn.

    Returns:
        The widget's `on_change`: the address tells what is chosen.
    """
    if st.session_state.get(key) != value:
        st.session_state[key] = value

    def keep() -> None:
        st.query_params[name] = str(st.session_state[key])

    return keep


def _given(ids: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in ids.items() if value}
