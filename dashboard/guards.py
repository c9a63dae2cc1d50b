"""What stands before Streamlit and our routes: which names are answered, what browsers may do, when logins end."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware

from core.storage.workspace import default_workspace
from dashboard.front_end import Bundle, FrontEnd
from dashboard.gate import Gate, scripts_in
from dashboard.hosts import configured_hosts
from dashboard.login import login_required
from dashboard.login_sessions import FOLDER, EndedLogins, LoginSessions, login_seconds

ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104  to be compared with


def guards(address: str, modules: dict[str, tuple[str, ...]]) -> list[Middleware]:
    """The outermost first.

    Args:
        address: Where the server listens: users may call it so, unless that is everywhere.
        modules: Of `FrontEnd`.

    Raises:
        InvalidRequest: A setting makes no sense.
    """
    public = _public_address() if login_required() else ""
    bundle = Bundle()
    hosts = configured_hosts((None if address in ANY_ADDRESS else address, public))
    found = [Middleware(Gate, hosts=hosts, scripts=[script for html in bundle.pages for script in scripts_in(html)])]
    if login_required():
        ended = EndedLogins(default_workspace().root / FOLDER)
        secure = public.startswith("https://")
        found.append(Middleware(LoginSessions, ended=ended, seconds=login_seconds(), secure=secure))
    return [*found, Middleware(FrontEnd, bundle=bundle, modules=modules)]


def _public_address() -> str:
    """The URL that the login's provider sends users back to: by that name they come."""
    return str(st.secrets["auth"].get("redirect_uri", ""))
