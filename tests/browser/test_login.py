"""A configured login covers every page and our own routes; the provider is a real one on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.driver import environment, free_port, start_server, stop
from bench.identity_provider import CLIENT, CLIENT_SECRET, USER, running
from core.intake.add_model import add_model
from core.storage.workspace import Workspace
from sample_models.make_models import sample
from tests.browser.visitors import Visitors

pytestmark = pytest.mark.browser

PAGES = ("/", "/model", "/build", "/jobs", "/engine", "/compare", "/system")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a dashboard with a login and one stored model."""
    home = tmp_path_factory.mktemp("guarded")
    workspace = Workspace(home / "workspace")
    add_model(sample("digits"), workspace)
    port = free_port()
    with running(free_port()) as provider:
        (home / ".streamlit").mkdir()
        (home / ".streamlit" / "secrets.toml").write_text(
            f"""[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "a long and random text for tests alone"
client_id = "{CLIENT}"
client_secret = "{CLIENT_SECRET}"
server_metadata_url = "{provider.url}/.well-known/openid-configuration"
"""
        )
        root = str(Path(__file__).parents[2])
        server, url = start_server(workspace, home / "server.log", cwd=home, port=port, PYTHONPATH=root)
        yield url
        stop(server)


@pytest.fixture(scope="module")
def guests(browser: Browser, guarded: str) -> Visitors:
    return Visitors(browser=browser, url=guarded)


@pytest.fixture
def visitor(guests: Visitors) -> Iterator[Page]:
    page = guests.lend()
    yield page
    guests.take_back(page)


def log_in(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="What can be built here")).to_be_visible()


def test_a_stranger_sees_nothing_but_the_login(visitor: Page) -> None:
    for path in PAGES:
        visitor.goto(path)
        expect(visitor.get_by_role("button", name="Log in")).to_be_visible()
        expect(visitor.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
        assert "digits" not in visitor.content()
        assert visitor.get_by_role("link", name="Models").count() == 0


def test_our_routes_refuse_a_stranger(visitor: Page) -> None:
    for method, path in [("POST", "/engine-room/uploads"), ("GET", f"/engine-room/builds/{'0' * 64}/log")]:
        assert visitor.request.fetch(path, method=method, data="{}").status == 403


def test_after_the_login_everything_is_there_until_the_logout(visitor: Page, browser: Browser, guarded: str) -> None:
    tokens: list[str] = []
    visitor.on("request", lambda request: tokens.append(request.headers.get("x-engine-room-token", "")))
    log_in(visitor)
    expect(visitor.get_by_role("button", name=USER["name"])).to_be_visible()
    visitor.locator("input.files").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
    expect(visitor.locator(".problem .message")).to_contain_text("notes.txt")
    token = next(token for token in tokens if token)

    start = {"url": "/engine-room/uploads", "method": "POST", "headers": {"X-Engine-Room-Token": token}}
    body = json.dumps({"files": [{"name": "a.onnx", "size": 1}]})
    fetch = "([one, body]) => fetch(one.url, {...one, body}).then((answer) => answer.status)"
    assert visitor.evaluate(fetch, [start, body]) == 200
    stranger = browser.new_context(base_url=guarded)
    assert stranger.request.post(start["url"], headers=start["headers"], data=body).status == 403, "the token alone is not enough"
    stranger.close()

    visitor.get_by_role("button", name=USER["name"]).click()
    with visitor.expect_response("**/auth/logout*"):
        visitor.get_by_role("button", name="Log out").click()
    expect(visitor.get_by_role("button", name="Log in")).to_be_visible()
    gone = visitor.context.request.post(start["url"], headers=start["headers"], data=body)
    assert gone.status == 403, "the token ended with the login"


def test_a_copy_of_a_login_ends_with_the_logout_and_so_do_other_tabs(visitor: Page, browser: Browser, guarded: str) -> None:
    tokens: list[str] = []
    visitor.on("request", lambda request: tokens.append(request.headers.get("x-engine-room-token", "")))
    log_in(visitor)
    visitor.locator("input.files").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
    expect(visitor.locator(".problem .message")).to_contain_text("notes.txt")
    thief = browser.new_context(base_url=guarded, storage_state=visitor.context.storage_state())
    stolen = thief.new_page()
    stolen.goto("/system")
    expect(stolen.get_by_role("heading", name="System")).to_be_visible()
    other = visitor.context.new_page()
    other.goto("/jobs")
    expect(other.get_by_role("heading", name="Jobs")).to_be_visible()

    visitor.get_by_role("button", name=USER["name"]).click()
    with visitor.expect_response("**/auth/logout*"):
        visitor.get_by_role("button", name="Log out").click()
    expect(visitor.get_by_role("button", name="Log in")).to_be_visible()
    for page in (other, stolen):  # cut, and connected again without a login
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
    token = next(token for token in tokens if token)
    body = json.dumps({"files": [{"name": "a.onnx", "size": 1}]})
    answer = thief.request.post("/engine-room/uploads", headers={"X-Engine-Room-Token": token}, data=body)
    assert answer.status == 403
    thief.close()


def test_logins_last_as_long_as_is_set_and_metrics_are_for_those_who_are_logged_in(visitor: Page) -> None:
    assert visitor.request.get("/_stcore/metrics").status == 403
    log_in(visitor)
    assert visitor.request.get("/_stcore/metrics").status == 200
    hours = {one["name"]: (one["expires"] - time.time()) / 3600 for one in visitor.context.cookies() if "user" in one["name"]}
    assert hours
    assert all(11.5 < left <= 12 for left in hours.values())


def test_a_broken_secrets_file_stops_the_server_rather_than_opening_it(tmp_path: Path) -> None:
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "secrets.toml").write_text("[auth\n")
    command = [sys.executable, "-m", "dashboard.server", "--no-worker", "--port", str(free_port())]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(Workspace(tmp_path / "workspace"), PYTHONPATH=root),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be read, so nobody could log in" in done.stderr
