"""Streamlit's front end from memory: the same bytes, and hints that the installed release has."""

from __future__ import annotations

import re
import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.front_end import EVERYWHERE, FOLDER, NAVIGATION, NAVIGATION_ADDRESS, PAGES, Bundle, FrontEnd
from dashboard.server import send_at_once


@pytest.fixture(scope="module")
def client() -> TestClient:
    behind = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse("behind"), methods=["GET", "HEAD"])])
    return TestClient(FrontEnd(behind, bundle=Bundle(), modules={"/engine": ("/engine-room/assets/graph.mjs",)}))


def test_every_hint_is_known_to_the_installed_streamlit() -> None:
    bundle = Bundle()
    assert not [name for names in (EVERYWHERE, *PAGES.values()) for name in names if bundle.entry(name) is None]
    assert set(bundle.needed(PAGES["/engine"])) <= set(bundle.files)


def test_a_page_asks_early_for_what_it_needs(client: TestClient) -> None:
    found = client.get("/engine")
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert found.headers["cache-control"] == "no-cache"
    assert "<title>Engine Room</title>" in found.text
    hinted = re.findall(r'<link rel="modulepreload" crossorigin href="(/[^"]+)"', found.text)
    assert "/engine-room/assets/graph.mjs" in hinted
    assert any("DataFrame" in address for address in hinted)
    assert not any("DataFrame" in address for address in re.findall(r'href="(/[^"]+)"', client.get("/").text))


def test_files_are_those_on_disk_and_stay_in_caches(client: TestClient) -> None:
    for path in sorted((FOLDER / "static" / "js").glob("index.*.js")):
        for _ in range(2):
            found = client.get(f"/static/js/{path.name}")
            assert found.content == path.read_bytes()
            assert "immutable" in found.headers["cache-control"]


@pytest.mark.parametrize("path", ["/static/js/none.js", "/static/../index.html", "/static/%2e%2e/manifest.json", "/media/a"])
def test_everything_else_goes_to_streamlit(client: TestClient, path: str) -> None:
    assert client.get(path).text == "behind"


def test_every_page_takes_what_keeps_its_address_right(client: TestClient) -> None:
    for path in PAGES:
        assert f'<script defer src="{NAVIGATION_ADDRESS}"></script>' in client.get(path).text
    found = client.get(NAVIGATION_ADDRESS)
    assert found.content == NAVIGATION
    assert found.headers["content-type"] == "text/javascript"


def test_small_answers_are_sent_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        send_at_once()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
