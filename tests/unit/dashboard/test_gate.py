"""What stands before every route."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from dashboard.front_end import Bundle
from dashboard.gate import MISDIRECTED, POLICY_VIOLATION, Gate, scripts_in
from dashboard.hosts import Hosts
from tests.loops import run_apart


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"SAMEORIGIN")]})
        await send({"type": "http.response.body", "body": b"secret"})


def ask(kind: str, *hosts: str, path: str = "/") -> list[Message]:
    """What comes back from a server that is called engines.example.org."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "headers": [(b"host", host.encode()) for host in hosts]}
    gate = Gate(inner, Hosts(frozenset(["engines.example.org"])), scripts=["one()"])
    run_apart(gate, scope, receive, send)
    return sent


@pytest.mark.parametrize("hosts", [("evil.example",), (), ("localhost", "evil.example"), ("",)])
@pytest.mark.parametrize("path", ["/", "/engine-room/uploads", "/_stcore/health", "/static/js/index.js"])
def test_another_name_gets_a_sentence_and_nothing_else(hosts: tuple[str, ...], path: str) -> None:
    start, body = ask("http", *hosts, path=path)
    assert start["status"] == MISDIRECTED
    assert b"secret" not in body["body"]
    assert b"ENGINEROOM_HOSTS" in body["body"]


def test_a_socket_under_another_name_is_closed_before_it_opens() -> None:
    assert ask("websocket", "evil.example:8501") == [{"type": "websocket.close", "code": POLICY_VIOLATION}]
    assert ask("websocket", "localhost:8501") == [{"type": "websocket.accept"}]


def test_browsers_are_told_what_a_page_may_do() -> None:
    start, body = ask("http", "engines.example.org:8501")
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert body["body"] == b"secret"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"] == "'none'"
    assert policy["img-src"] == "'self' data: blob:"
    assert "wss://engines.example.org:8501" in policy["connect-src"]
    hashed = base64.b64encode(hashlib.sha256(b"one()").digest()).decode()
    assert f"'sha256-{hashed}'" in policy["script-src"]
    assert "unsafe" not in policy["script-src"].replace("wasm-unsafe-eval", "")


def test_every_script_of_streamlits_pages_is_known() -> None:
    found: list[Any] = [script for html in Bundle().pages for script in scripts_in(html)]
    assert len(set(found)) == 2
    for html in Bundle().pages:  # the others come from files of this server
        others = re.findall(r"<script [^>]*>", html)
        assert html.count("<script") == len(scripts_in(html)) + len(others)
        assert all(re.search(r' src="\.?/', other) for other in others)
