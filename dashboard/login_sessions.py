"""Logins that end: by the logout, on the server too, and after ENGINEROOM_LOGIN_HOURS at the latest.

Streamlit's login is a signed cookie and nothing else, so a copy of it would outlive the logout. `LoginSessions` takes the cookies
of an ended login from every request before anything else sees them, and cuts the connections of pages that are open with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.web.server.server_util import get_cookie_secret

from core.base.errors import InvalidRequest

HOURS_VARIABLE = "ENGINEROOM_LOGIN_HOURS"
DEFAULT_HOURS = 12.0
LOGIN_COOKIE = "_streamlit_user"
TOKENS_COOKIE = "_streamlit_user_tokens"
SESSION_COOKIE = "_streamlit_session"  # holds the state of a login that is under way
LOGOUT = "/auth/logout"
# What Streamlit answers without asking for a login, and no page needs before it.
GUARDED = ("/_stcore/metrics", "/_stcore/upload_file", "/_stcore/script-health-check", "/_stcore/agent", "/media/")
FOLDER = "ended-logins"
POLICY_VIOLATION = 1008
Parts = tuple[str, ...]
MOST_PARTS = 50
_CUT = re.compile(r"chunks-([0-9]{1,4})")
_LOGIN_COOKIES = re.compile(rf"({LOGIN_COOKIE}|{TOKENS_COOKIE})(_[0-9]+)?")


def login_seconds() -> float:
    """How long a login lives.

    Raises:
        InvalidRequest: ENGINEROOM_LOGIN_HOURS is no number of hours.
    """
    text = os.environ.get(HOURS_VARIABLE) or str(DEFAULT_HOURS)
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= 24 * 30:
        raise InvalidRequest(f"{HOURS_VARIABLE} is {text!r}.", hint="Give a number of hours, up to 720.")
    return 3600 * hours


def login_parts(cookies: Mapping[str, str]) -> Parts:
    """What of a request's cookies says who is logged in; empty when nobody is.

    Of each cookie that which is signed, and not the signature, which can be written in several ways.
    """
    values = [cookies.get(name, "") for name in _names(cookies)]
    return tuple(value.rpartition(".")[0] or value for value in values)


def _names(cookies: Mapping[str, str]) -> list[str]:
    """The cookies that hold a login: one, or those that a large one was cut into."""
    main = cookies.get(LOGIN_COOKIE)
    if not main:
        return []
    _, content = URLSafeTimedSerializer("", salt=LOGIN_COOKIE).loads_unsafe(main)
    cut = _CUT.match(content) if isinstance(content, str) else None
    return [f"{LOGIN_COOKIE}_{number + 1}" for number in range(min(int(cut[1]), MOST_PARTS))] if cut else [LOGIN_COOKIE]


def login_mark(cookies: Mapping[str, str]) -> str:
    """What tells one login from others; empty when there is none."""
    parts = login_parts(cookies)
    return _hash("\n".join(parts)) if parts else ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class EndedLogins:
    """The logins that were ended, an empty file for each part, for all servers on this workspace."""

    folder: Path

    def end(self, parts: Iterable[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in parts:
            (self.folder / _hash(part)).touch()
        self._sweep()

    def has(self, parts: Iterable[str]) -> bool:
        return any((self.folder / _hash(part)).exists() for part in parts)

    def _sweep(self) -> None:
        """Forgets those that could not be used any more anyhow."""
        for path in self.folder.iterdir():
            try:
                if time.time() - path.stat().st_mtime > 24 * 30 * 3600:
                    path.unlink()
            except FileNotFoundError:
                continue  # by another server


class LoginSessions:
    """ASGI middleware; without a configured login it is not there.

    Args:
        secure: Users come by https alone, so cookies are sent by https alone.
    """

    def __init__(self, app: ASGIApp, ended: EndedLogins, *, seconds: float, secure: bool) -> None:
        self._app, self._ended, self._seconds, self._secure = app, ended, seconds, secure
        self._open: dict[Parts, set[asyncio.Event]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        cookies = HTTPConnection(scope).cookies
        parts = login_parts(cookies)
        left = 0.0 if self._ended.has(parts) else _seconds_left(cookies, self._seconds)
        if left <= 0:
            parts = ()
            scope = {**scope, "headers": _without_login(scope)}
        if scope["type"] == "websocket":
            await self._follow(parts, left, scope, receive, send)
            return
        if not parts and scope["path"].startswith(GUARDED):
            await PlainTextResponse("Log in first.\n", status_code=403)(scope, receive, send)
            return
        if parts and scope["path"] == LOGOUT:
            self._end(parts)
        await self._app(scope, receive, self._with_cookies(send))

    def _end(self, parts: Parts) -> None:
        self._ended.end(parts)
        for cut in self._open.get(parts, ()):
            cut.set()

    async def _follow(self, parts: Parts, left: float, scope: Scope, receive: Receive, send: Send) -> None:
        """A page's connection, cut when its login ends."""
        if not parts:
            await self._app(scope, receive, send)
            return
        cut = asyncio.Event()
        self._open.setdefault(parts, set()).add(cut)
        timer = asyncio.get_running_loop().call_later(left, cut.set)
        waiting = asyncio.ensure_future(cut.wait())

        async def receive_until_cut() -> Message:
            coming = asyncio.ensure_future(receive())
            try:
                await asyncio.wait({coming, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if not cut.is_set() and not self._ended.has(parts):  # another server may have ended it
                    return await coming
            finally:
                coming.cancel()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}

        try:
            await self._app(scope, receive_until_cut, send)
        finally:
            timer.cancel()
            waiting.cancel()
            self._open[parts].discard(cut)
            if not self._open[parts]:
                del self._open[parts]

    def _with_cookies(self, send: Send) -> Send:
        """Gives the login's cookies the life that is set, and keeps them to https where that is how users come."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                given = headers.getlist("set-cookie")
                if given:
                    del headers["set-cookie"]
                    for one in given:
                        headers.append("set-cookie", self._lasting(one))
            await send(message)

        return send_on

    def _lasting(self, cookie: str) -> str:
        name = cookie.partition("=")[0].strip()
        if _LOGIN_COOKIES.fullmatch(name):
            cookie = re.sub(r"(?i)(max-age)=([1-9][0-9]*)", rf"\1={int(self._seconds)}", cookie)
        elif name != SESSION_COOKIE:
            return cookie
        return f"{cookie}; Secure" if self._secure and "secure" not in cookie.lower().split("; ") else cookie


def _seconds_left(cookies: Mapping[str, str], lifetime: float) -> float:
    """Of the login that these cookies hold; 0 when they hold none, or any of them is old or not ours."""
    names = _names(cookies)
    if not names:
        return 0.0
    oldest = min(_signed_at(name, cookies.get(name, "")) for name in (LOGIN_COOKIE, *names))
    return max(0.0, lifetime - (time.time() - oldest))


def _signed_at(name: str, value: str) -> float:
    """When we signed a cookie, seconds since the epoch; 0 when it is not ours."""
    try:
        _, when = URLSafeTimedSerializer(get_cookie_secret(), salt=name).loads(value, return_timestamp=True)
    except (BadData, ValueError):
        return 0.0
    return float(when.timestamp())


def _without_login(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The request's headers without the cookies of a login."""
    kept = []
    for name, value in scope["headers"]:
        if name == b"cookie":
            crumbs = [one.strip() for one in value.decode("latin-1").split(";")]
            left = "; ".join(one for one in crumbs if not _LOGIN_COOKIES.fullmatch(one.partition("=")[0].strip()))
            if left:
                kept.append((name, left.encode("latin-1")))
        else:
            kept.append((name, value))
    return kept
