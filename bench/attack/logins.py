"""A dashboard with a login: what strangers reach, and what a copy of somebody's cookies is good for after the logout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import UPLOADS, Instance
from bench.driver import CHROMIUM, free_port, start_server, stop
from bench.identity_provider import CLIENT, CLIENT_SECRET
from bench.identity_provider import running as provider_running
from core.storage.workspace import Workspace

ROOT = Path(__file__).parents[2]
CLOSED = ("/_stcore/metrics", "/media/x", "/_stcore/script-health-check", "/engine-room/builds/x/log", f"{UPLOADS}/{'0' * 32}")


@contextmanager
def guarded(instance: Instance) -> Iterator[Instance]:
    """Another instance, with a login."""
    home, port = instance.home / "guarded", free_port()
    (home / ".streamlit").mkdir(parents=True, exist_ok=True)
    workspace = Workspace(home / "workspace")
    with provider_running(free_port()) as provider:
        (home / ".streamlit" / "secrets.toml").write_text(
            f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\ncookie_secret = "of this attack alone"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "{CLIENT_SECRET}"\n'
            f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
        )
        server, _ = start_server(workspace, home / "server.log", cwd=home, port=port, PYTHONPATH=str(ROOT))
        try:
            yield replace(instance, workspace=workspace, home=home, port=port, pid=server.pid)
        finally:
            stop(server)


def strangers(instance: Instance, tries: Tries) -> None:
    with guarded(instance) as closed:
        for path in CLOSED:
            for cookie in (
                "",
                "_streamlit_user=x",
                "_streamlit_user=eyJhIjoxfQ.aaaa.bbbb",
                "_streamlit_user_1=x; _streamlit_user=y",
            ):
                status = closed.ask("GET", path, headers={"Cookie": cookie}).status
                tries.hold(status == 403, f"{path} answered a stranger {status}")
        for path in ("/", "/system", "/engine"):
            tries.hold(b"engine-room/builds" not in closed.ask("GET", path).body, f"{path} tells a stranger of builds")


def _log_in(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="What can be built here").wait_for()


def copies(instance: Instance, tries: Tries) -> None:
    with guarded(instance) as closed, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context()
        page = context.new_page()
        tokens: list[str] = []
        page.on("request", lambda request: tokens.append(request.headers.get("x-engine-room-token", "")))
        _log_in(page, closed.url)
        page.locator("input.files").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
        page.locator(".problem .message").wait_for()
        cookies = {one["name"]: one["value"] for one in context.cookies()}
        token = next(one for one in tokens if one)

        def begin(given: dict[str, str]) -> int:
            crumbs = "; ".join(f"{name}={value}" for name, value in given.items())
            headers = {"X-Engine-Room-Token": token, "Cookie": crumbs}
            return closed.ask("POST", UPLOADS, b'{"files": [{"name": "a", "size": 1}]}', headers).status

        tries.hold(begin(cookies) == 200, "the login itself is of no use, so the tries after it say nothing")
        tries.hold(begin({}) == 403, "a token is of use without its login")
        page.get_by_role("button", name="Ada").first.click()
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("button", name="Log in").wait_for()
        user = cookies["_streamlit_user"]
        ways = (
            user,
            f'"{user}"',
            f"{user}=",
            *(user[:-1] + letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        )
        for way in ways:
            tries.hold(begin({**cookies, "_streamlit_user": way}) == 403, f"after the logout a copy is of use: ...{way[-6:]}")
        browser.close()


ATTACKS = (
    Attack(name="what is behind a login, without one", run=strangers),
    Attack(name="copies of a login after its logout", run=copies),
)
