"""Half a request is not waited for, and whole ones take as long as they take."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dashboard import http_protocol

WAITS = 0.5


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_protocol, "HEADER_SECONDS", WAITS)
        patch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "none")
        http_protocol.close_half_requests()
        config = uvicorn.Config(
            Starlette(routes=[Route("/", echo, methods=["POST"])]), port=0, log_level="warning", lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True
        thread.join()


def said(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the server closes, or says nothing for longer than it waits."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10 * WAITS)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        while more := connection.recv(4096):
            heard += more
    return heard


@pytest.mark.parametrize("half", [b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nA: "])
def test_half_a_head_is_not_waited_for(port: int, half: bytes) -> None:
    before = time.monotonic()
    assert said(port, half) == b""
    assert WAITS * 0.9 < time.monotonic() - before < 10 * WAITS


def test_a_drop_now_and_then_does_not_keep_it_open(port: int) -> None:
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        said(port, b"POST / HTTP/1.1\r\n", *(b"A: b\r\n" for _ in range(40)), pause=WAITS / 5)


def test_a_body_may_take_longer_and_a_second_request_may_follow(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    heard = said(port, head, b"a", b"b", b"c", head + b"xyz", pause=WAITS * 0.8)
    assert heard.count(b"3 bytes") == 2
