"""Names and words from users' files are shown as text on every page: nothing in them is markup, an address or a program.

The browser is told not to heed the server's content policy, which is a wall of its own: here the pages alone have to hold.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.attack.hostile_names import ELSEWHERE, NAMES, hostile_model
from bench.driver import is_local, start_server, stop, visit
from core.base.profile import AxisRange, ShapeProfile
from core.benchmark.measurement import Protocol
from core.intake.add_model import add_model
from core.jobs.queue import Queue
from core.models.model import Model
from core.request.build_request import BuildRequest, checked
from core.stages.pipeline import run_build
from core.storage.builds import State
from core.storage.workspace import Workspace
from tests.browser.visitors import Visitors

pytestmark = pytest.mark.browser

SECTIONS = ("Fused layers", "Source nodes", "Findings", "Precision", "Memory", "Measurement", "Parity", "Build")
# What of a page is not there when all names are text. Streamlit's own links lead to this server or to headings.
FOUND = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  const elsewhere = (url) => url && !url.startsWith(origin) && !url.startsWith("data:");
  const text = (selector) => [...main.querySelectorAll(selector)].map((one) => one.outerHTML.slice(0, 120));
  return {
    ran: window.hostile ?? null,
    images: [...document.images].map((one) => one.src).filter(elsewhere),
    links: [...document.querySelectorAll("a")].map((one) => one.href).filter(elsewhere),
    markup: text("del, .katex, iframe, script, [onerror], [onload]"),
    moved: /[\\u202a-\\u202e\\u2066-\\u2069]/.test(main.innerText),
  };
}"""
NOTHING = {"ran": None, "images": [], "links": [], "markup": [], "moved": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A dashboard with hostile models, builds and a job."""

    url: str
    models: tuple[Model, ...]
    builds: tuple[str, ...]
    job: str


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    home = tmp_path_factory.mktemp("hostile")
    workspace = Workspace(home / "workspace")
    models, builds = [], []
    for unknown in (False, True):
        path = hostile_model(home / f"m{unknown}.onnx", unknown_op=unknown)
        models.append(add_model(path, workspace, name=f"{NAMES[0]}{NAMES[6]}{NAMES[7]}{NAMES[8]}{NAMES[1]}"))
    requests = []
    for model in models:
        (symbol,) = model.signatures[0].symbols
        profile = ShapeProfile(axes={symbol: AxisRange(min=1, opt=2, max=4)})
        quick = Protocol(min_seconds=0.1, warmup_seconds=0.02)
        requests.append(
            checked(BuildRequest(model=model.digest, path="onnx.onnxruntime", profile=profile, protocol=quick), model, here=False)
        )
    for request, ends in zip(requests, (State.DONE, State.FAILED), strict=True):
        build = run_build(workspace, request, on_change=lambda *_: None)
        assert build.state is ends, build.error
        builds.append(build.key)
    queue = Queue(workspace)
    (submitted,) = queue.submit_all([requests[0]], force=True)
    queue.close()
    server, url = start_server(workspace, home / "server.log")
    yield Stored(url=url, models=tuple(models), builds=tuple(builds), job=submitted.job or "")
    stop(server)


@pytest.fixture(scope="module")
def readers(browser: Browser, stored: Stored) -> Visitors:
    return Visitors(browser=browser, url=stored.url, options={"bypass_csp": True})


@pytest.fixture
def page(readers: Visitors) -> Iterator[Page]:
    opened = readers.lend()
    opened.set_viewport_size({"width": 1440, "height": 1200})
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    readers.take_back(opened)
    assert [url for url in asked if url.startswith(ELSEWHERE) or (not url.startswith("file:") and not is_local(url))] == []


def settled(page: Page) -> None:
    """Waits until nothing is drawn any more; dialogs of the browser would mean that a name ran."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(700)


@pytest.mark.parametrize("path", ["/", "/model", "/build", "/jobs", "/engine", "/compare", "/system"])
def test_lists_show_names_as_text(page: Page, stored: Stored, path: str) -> None:
    visit(page, path)
    settled(page)
    assert page.evaluate(FOUND) == NOTHING


def test_a_model_shows_its_names_as_text(page: Page, stored: Stored) -> None:
    for model in stored.models:
        visit(page, f"/model?model={model.digest}")
        settled(page)
        assert page.evaluate(FOUND) == NOTHING
        expect(page.get_by_role("heading", level=1)).to_contain_text("**bold** ~~gone~~ `code` :red[red]")
        expect(page.get_by_role("heading", level=1)).to_contain_text("‹202E›gnp.elbissop‹202C›first second # third - fourth")
        for path in ("/build", "/compare"):
            visit(page, f"{path}?model={model.digest}")
            settled(page)
            assert page.evaluate(FOUND) == NOTHING


def test_a_job_shows_its_names_as_text(page: Page, stored: Stored) -> None:
    visit(page, f"/jobs?job={stored.job}")
    settled(page)
    assert page.evaluate(FOUND) == NOTHING


@pytest.mark.parametrize("section", SECTIONS)
def test_an_engine_shows_its_names_as_text(page: Page, stored: Stored, section: str) -> None:
    for build in stored.builds if section == "Build" else stored.builds[:1]:  # the second failed, and tells nothing but that
        visit(page, f"/engine?build={build}&section={section}")
        settled(page)
        assert page.evaluate(FOUND) == NOTHING


def test_two_builds_and_what_is_not_there_are_shown_as_text(page: Page, stored: Stored) -> None:
    for path in (
        f"/compare?builds={stored.builds[0]},{stored.builds[0]}",
        f"/compare?builds={NAMES[0]}",
        f"/model?model={NAMES[0]}",
        f"/engine?build={NAMES[1]}",
        f"/jobs?job={NAMES[0]}",
        f"/build?model={NAMES[3]}",
    ):
        page.goto(path)
        settled(page)
        assert page.evaluate(FOUND) == NOTHING, path


def test_an_upload_and_what_is_said_of_it_are_shown_as_text(page: Page, stored: Stored) -> None:
    visit(page, "/")
    name = NAMES[0].replace("/", "∕")
    page.locator("input.files").set_input_files({"name": f"{name}.txt", "mimeType": "text/plain", "buffer": b"no model"})
    expect(page.locator(".problem .message")).to_contain_text("![shown](http:")
    assert page.evaluate(FOUND) == NOTHING


def test_the_report_shows_names_as_text_and_asks_for_nothing(page: Page, stored: Stored, tmp_path: Path) -> None:
    visit(page, f"/engine?build={stored.builds[0]}")
    page.get_by_role("button", name="Download").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report as HTML").click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    page.goto(path.as_uri())
    page.wait_for_timeout(500)
    assert page.evaluate("window.hostile ?? null") is None
    assert (
        page.evaluate("[...document.querySelectorAll('iframe, [onerror], [onload], a[href^=http], img[src^=http]')].length") == 0
    )


@pytest.mark.parametrize("name", ["Layers as CSV", "Source nodes as CSV"])
def test_no_cell_of_a_download_is_a_formula(page: Page, stored: Stored, name: str) -> None:
    visit(page, f"/engine?build={stored.builds[0]}")
    page.get_by_role("button", name="Download").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    text = Path(download.value.path()).read_bytes().decode()
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert len(cells) > 20
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
