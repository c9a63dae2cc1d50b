"""A real server with a worker, a fork whose stages are forks too, and a real Chromium, for every browser test.

Fixtures: `dashboard` (one server for the session, with its own workspace and worker), `page` (a fresh browser tab that fails
its test when it asks for anything outside this machine), `new_page` (more of them), `digits` (a stored model) and
`digits_build` (a real build of it by ONNX Runtime).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, ViewportSize, expect, sync_playwright

from bench.driver import CHROMIUM, PAGE_MILLISECONDS, Dashboard, is_local, start_server, start_worker, stop
from core.intake.add_model import add_model
from core.models.model import Model
from core.stages.outcome import Outcome
from core.storage.workspace import Workspace
from sample_models.make_models import sample
from tests.browser.visitors import VIEWPORT, Visitors
from tests.digits import copy_into
from tests.forking import Server, forking

# Every visit is a new document that runs the same scripts for a second or two: they are compiled once, and never optimized.
# The list of features takes the place of Playwright's own, so what matters of that is in it.
OFF = (
    "ScriptStreaming",  # it compiles in the background, whether that was done before or not
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "AvoidCorsURLLoaderRestartOnRedirect", "DestroyProfileOnBrowserClose"),
    *("HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "PaintHolding", "ThirdPartyStoragePartitioning"),
    *("AimEnabled", "LensOverlay", "MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PreconnectToSearch"),
)
SWITCHES = [
    "--no-sandbox",
    "--v8-cache-options=code",
    "--js-flags=--no-opt --no-maglev",
    f"--disable-features={','.join(OFF)}",
]


@pytest.fixture(scope="session")
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="engine-room-browser-", ignore_cleanup_errors=True) as folder:
        yield Workspace(Path(folder))


@pytest.fixture(scope="session")
def dashboard(workspace: Workspace, _fork_server: Server) -> Iterator[Dashboard]:
    with forking(_fork_server):
        worker = start_worker(workspace, workspace.root / "worker.log")
    server, url = start_server(workspace, workspace.root / "server.log")
    yield Dashboard(url=url, workspace=workspace, pid=server.pid)
    stop(server)
    stop(worker)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed: scripts/system-packages.sh does it")
    expect.set_options(timeout=PAGE_MILLISECONDS)
    running = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
    yield running
    running.close()


@pytest.fixture(scope="session")
def visitors(browser: Browser, dashboard: Dashboard) -> Visitors:
    return Visitors(browser=browser, url=dashboard.url)


@pytest.fixture
def new_page(visitors: Visitors) -> Iterator[Callable[..., Page]]:
    """Opens a tab of a browser of its own (another user), with a color scheme, a viewport or without a network."""
    lent: list[Page] = []
    asked: list[str] = []

    def open_page(
        *, color_scheme: Literal["light", "dark"] = "light", viewport: ViewportSize = VIEWPORT, offline: bool = False
    ) -> Page:
        page = visitors.lend()
        lent.append(page)
        page.context.set_offline(offline)
        page.emulate_media(color_scheme=color_scheme)
        page.set_viewport_size(viewport)
        page.on("request", lambda request: asked.append(request.url))
        return page

    yield open_page
    for page in lent:
        visitors.take_back(page)
    assert not [url for url in asked if not is_local(url)], "the page asked for something outside this machine"


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


@pytest.fixture(scope="session")
def digits(workspace: Workspace) -> Model:
    """The committed sample, stored."""
    return add_model(sample("digits"), workspace)


@pytest.fixture(scope="session")
def digits_build(workspace: Workspace, digits_made: Workspace, dashboard: Dashboard) -> Outcome:
    """A real build of the sample by ONNX Runtime, measured for an instant."""
    return copy_into(workspace, digits_made)
