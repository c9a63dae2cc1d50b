"""Who may use our own routes: whoever a page gave a token.

Streamlit's login guards scripts, not routes. A page runs only for those who are logged in (when login is configured), so it
hands out a signed token, and every route asks for it. That also keeps other sites from calling the routes in a user's name.
"""

from __future__ import annotations

import os
import secrets
from functools import lru_cache
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.exceptions import HTTPException
from starlette.requests import Request

from core.workspace import default_workspace

HEADER = "X-Engine-Room-Token"
LIFETIME_SECONDS = 12 * 3600
SECRET_FILE = "dashboard.secret"  # noqa: S105  a file name


@lru_cache(maxsize=1)
def _serializer() -> URLSafeTimedSerializer:
    """Signs with a secret kept in the workspace, so that a restart of the server breaks no upload."""
    path = default_workspace().root / SECRET_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32))
    return URLSafeTimedSerializer(path.read_text(encoding="ascii"), salt="engine-room")


def _write_private(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another server process was faster
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)


def token() -> str:
    """A token for the routes, good for LIFETIME_SECONDS; only pages call this."""
    return _serializer().dumps("page")


def require_token(request: Request) -> None:
    """Lets a request pass whose header or query carries a good token.

    Raises:
        HTTPException: 403 otherwise.
    """
    given = request.headers.get(HEADER) or request.query_params.get("token") or ""
    try:
        _serializer().loads(given, max_age=LIFETIME_SECONDS)
    except BadSignature:
        raise HTTPException(403, "This link has expired. Reload the page and try again.") from None
