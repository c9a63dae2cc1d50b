"""Logins end: by the logout, by age, on every server of a workspace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import pytest
from itsdangerous import TimestampSigner
from starlette.types import Message, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from core.base.errors import InvalidRequest
from dashboard import login_sessions
from dashboard.login_sessions import HOURS_VARIABLE, LOGIN_COOKIE, EndedLogins, LoginSessions, login_mark, login_seconds
from tests.loops import run_apart

SECRET = "for tests alone"  # noqa: S105
HOUR = 3600.0


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_sessions, "get_cookie_secret", lambda: SECRET)


def login(who: str, *, cut: int = 0) -> dict[str, str]:
    """The cookies of somebody who has just logged in, in one piece or in several."""
    text = json.dumps([who] * 12)
    if not cut:
        return {LOGIN_COOKIE: create_signed_value(SECRET, LOGIN_COOKIE, text).decode()}
    pieces = {f"{LOGIN_COOKIE}_{n + 1}": text[n * 20 : (n + 1) * 20] for n in range(cut)} | {LOGIN_COOKIE: f"chunks-{cut}"}
    return {name: create_signed_value(SECRET, name, piece).decode() for name, piece in pieces.items()}


class Server:
    """What is behind the middleware: tells the cookies it sees."""

    def __init__(self, folder: Path, *, seconds: float = HOUR, secure: bool = False) -> None:
        self.seen: list[str] = []
        self.given = [b"_streamlit_user=x; HttpOnly; Max-Age=2592000; Path=/; SameSite=lax", b"other=1", b"_streamlit_session=s"]
        self.app = LoginSessions(self._inner, EndedLogins(folder / "ended"), seconds=seconds, secure=secure)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode())
        if scope["type"] == "websocket":
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        headers = [(b"set-cookie", one) for one in self.given]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def ask(self, path: str, cookies: Mapping[str, str]) -> list[Message]:
        return run_apart(self._ask, "http", path, cookies, None)

    async def _ask(self, kind: str, path: str, cookies: Mapping[str, str], coming: Callable[[], object] | None) -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            await anyio.sleep(60)
            return {"type": "websocket.receive"}

        crumbs = "; ".join(["a=1", *(f"{name}={value}" for name, value in cookies.items())])
        scope = {"type": kind, "method": "GET", "path": path, "headers": [(b"cookie", crumbs.encode())]}
        await self.app(scope, receive, send)
        return sent

    def knows(self, cookies: Mapping[str, str]) -> bool:
        """Whether what is behind sees this login."""
        self.ask("/", cookies)
        assert "a=1" in self.seen[-1], "other cookies stay"
        return LOGIN_COOKIE in self.seen[-1]


@pytest.mark.parametrize("cut", [0, 3])
def test_a_login_lives_until_the_logout_on_every_server(tmp_path: Path, cut: int) -> None:
    ada, bob = login("ada", cut=cut), login("bob", cut=cut)
    server, other = Server(tmp_path), Server(tmp_path)
    assert server.knows(ada)
    server.ask("/auth/logout", ada)
    assert not server.knows(ada)
    assert not other.knows(ada)
    assert server.knows(bob)


def test_an_ended_login_written_in_another_way_stays_ended(tmp_path: Path) -> None:
    server, ada = Server(tmp_path), login("ada")
    server.ask("/auth/logout", ada)
    whole = ada[LOGIN_COOKIE]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for copy in (f'"{whole}"', f"{whole}=", *(whole[:-1] + letter for letter in letters)):
        assert not server.knows({LOGIN_COOKIE: copy})
    assert not server.knows({**ada, f"{LOGIN_COOKIE}_9": "x"})
    assert login_mark({LOGIN_COOKIE: whole[:-1] + "A"}) == login_mark({LOGIN_COOKIE: whole[:-1] + "B"})


def test_a_stolen_piece_in_anothers_login_is_of_no_use(tmp_path: Path) -> None:
    server, ada, eve = Server(tmp_path), login("ada", cut=2), login("eve", cut=2)
    server.ask("/auth/logout", ada)
    assert not server.knows({**eve, f"{LOGIN_COOKIE}_1": ada[f"{LOGIN_COOKIE}_1"]})


def test_what_we_have_not_signed_is_no_login(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for cookie in ("ada", "a.b.c", create_signed_value("another", LOGIN_COOKIE, "{}").decode(), "é"):
        assert not server.knows({LOGIN_COOKIE: cookie})


def test_a_login_ends_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = login("ada")
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: int(time.time() - 2 * HOUR))
    old = login("ada")
    assert Server(tmp_path).knows(ada)
    assert not Server(tmp_path).knows(old)
    assert Server(tmp_path, seconds=3 * HOUR).knows(old)


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/media/abc.csv", "/_stcore/upload_file/a/b"])
def test_what_streamlit_tells_everybody_is_told_after_the_login(tmp_path: Path, path: str) -> None:
    server = Server(tmp_path)
    assert server.ask(path, {})[0]["status"] == 403
    assert server.ask(path, {LOGIN_COOKIE: "made up"})[0]["status"] == 403
    assert server.seen == []
    assert server.ask(path, login("ada"))[0]["status"] == 200
    assert server.ask("/_stcore/health", {})[0]["status"] == 200


def test_an_open_page_is_cut_by_the_logout_and_by_age(tmp_path: Path) -> None:
    async def visit(server: Server, *, logout: bool) -> list[Message]:
        told: list[Message] = []
        ada = login("ada" if logout else "grace")

        async def page() -> None:
            told.extend(await server._ask("websocket", "/_stcore/stream", ada, None))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(page)
                await anyio.sleep(0.1)
                if logout:
                    await server._ask("http", "/auth/logout", ada, None)
        return told

    for server, logout in ((Server(tmp_path), True), (Server(tmp_path, seconds=1.5), False)):
        assert run_apart(lambda server=server, logout=logout: visit(server, logout=logout)) == [
            {"type": "websocket.close", "code": 1008}
        ]


def test_cookies_live_as_long_as_is_set_and_go_by_https_alone(tmp_path: Path) -> None:
    def cookies(server: Server) -> list[str]:
        return [value.decode() for name, value in server.ask("/oauth2callback", {})[0]["headers"] if name == b"set-cookie"]

    user, other, session = cookies(Server(tmp_path, seconds=7200.0, secure=True))
    assert "Max-Age=7200" in user
    assert user.endswith("; Secure")
    assert other == "other=1"
    assert session == "_streamlit_session=s; Secure"
    server = Server(tmp_path)
    server.given = [b"_streamlit_user=; Max-Age=0; Path=/"]
    assert cookies(server) == ["_streamlit_user=; Max-Age=0; Path=/"], "what deletes a cookie still does"


@pytest.mark.parametrize("text", ["abc", "0", "-1", "nan", "1e9"])
def test_hours_that_are_none_are_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(HOURS_VARIABLE, text)
    with pytest.raises(InvalidRequest, match=HOURS_VARIABLE):
        login_seconds()
    monkeypatch.setenv(HOURS_VARIABLE, "0.5")
    assert login_seconds() == 1800
