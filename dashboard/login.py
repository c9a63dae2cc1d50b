"""Login by OpenID Connect, when `.streamlit/secrets.toml` has an [auth] section; see docs/login.md."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import streamlit as st

from dashboard.formatting import plain

SECRETS = ".streamlit/secrets.toml"


class BrokenSecrets(Exception):
    """A secrets file is there and cannot be read: starting without its login would open everything to everyone."""


def check_secrets() -> None:
    """Raises BrokenSecrets; called before the server starts."""
    files = [path for path in (Path.cwd() / SECRETS, Path.home() / SECRETS) if path.is_file()]
    if files and not st.secrets.load_if_toml_exists():
        raise BrokenSecrets(f"{files[0]} cannot be read, so nobody could log in. Mend it, or take it away to run without login.")
    login_required()


@lru_cache(maxsize=1)
def login_required() -> bool:
    """Whether a login is configured; what was true at the start stays true, whatever happens to the file."""
    return st.secrets.load_if_toml_exists() and "auth" in st.secrets


def providers() -> list[str]:
    """Names of the configured providers; one nameless one where [auth] itself holds its client."""
    section: Mapping[str, object] = st.secrets["auth"]
    if "client_id" in section:
        return [""]
    return [name for name, value in section.items() if isinstance(value, Mapping) and "client_id" in value]


def may_enter() -> bool:
    """Whether this session may see pages: somebody is logged in, or no login is configured."""
    return not login_required() or st.user.get("is_logged_in") is True


def show_login() -> None:
    """What those see who have to log in first."""
    with st.container(horizontal_alignment="center"):
        st.title("Engine Room", text_alignment="center")
        st.markdown("Log in to see your team's models and engines.", text_alignment="center")
        for name in providers():
            label = f"Log in with {plain(name.title())}" if name else "Log in"
            st.button(label, type="primary", icon=":material/login:", on_click=st.login, args=[name] if name else [])


def show_user() -> None:
    """Who is logged in, and the way out."""
    if not login_required():
        return
    name = st.user.get("name") or st.user.get("email") or "Logged in"
    with (
        st.container(horizontal=True, horizontal_alignment="right"),
        st.popover(plain(str(name)), icon=":material/account_circle:"),
    ):
        if email := st.user.get("email"):
            st.caption(plain(str(email)))
        st.button("Log out", icon=":material/logout:", on_click=st.logout)
