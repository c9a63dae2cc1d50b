"""Who may use our own routes: whoever a page gave a token.

Streamlit's login guards scripts, not routes. A page runs only for those who are logged in (when login is configured), so it
hands out a signed token, and every route asks for it. The token is good only together with the login cookie that the page
was opened with: it ends with the login and is of no use to others. It also keeps other sites from calling the routes in a
user's name.
"""

from __future__ import annotations

import os
import secrets
import threading
from functools import lru_cache
from pathlib import Path

import streamlit as st
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.exceptions import HTTPException
from starlette.requests import Request

from core.storage.workspace import default_workspace
from dashboard.login import login_required
from dashboard.login_sessions import login_mark

HEADER = "X-Engine-Room-Token"
LIFETIME_SECONDS = 12 * 3600
SECRET_FILE = "dashboard.secret"  # noqa: S105  a file name


@lru_cache(maxsize=8)
def signer(root: Path) -> URLSafeTimedSerializer:
    """Signs with a secret kept in the workspace, so that a restart of the server breaks no upload."""
    path = root / SECRET_FILE
    root.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32))
    return URLSafeTimedSerializer(path.read_text(encoding="ascii"), salt="engine-room")


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by this user alone; an existing file stays."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)
    try:
        os.link(partial, path)
    except FileExistsError:  # another server process was faster
        pass
    finally:
        partial.unlink()


def token() -> str:
    """A token for the routes, good for LIFETIME_SECONDS and this login; only pages call this."""
    return signer(default_workspace().root).dumps(login_mark(st.context.cookies))


def require_token(request: Request) -> None:
    """Lets a request pass whose header or query carries a good token.

    Raises:
        HTTPException: 403 otherwise.
    """
    given = request.headers.get(HEADER) or request.query_params.get("token") or ""
    try:
        mark = signer(default_workspace().root).loads(given, max_age=LIFETIME_SECONDS)
    except BadData:
        mark = None
    if mark != login_mark(request.cookies) or (not mark and login_required()):
        raise HTTPException(403, "This link has expired. Reload the page and try again.")
