"""Starting the dashboard, and what somebody sees who opens it for the first time."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, environment, free_port, start_server, stop, visit, wait_for
from core.jobs.device import parse_device
from core.jobs.local import is_running
from core.jobs.queue import Queue
from core.jobs.start import worker_lock_file
from core.models.model import Model
from core.storage.workspace import Workspace

pytestmark = pytest.mark.browser

SERVER = [sys.executable, "-m", "dashboard.server"]


def test_home_says_what_this_is_and_what_can_be_built(page: Page, dashboard: Dashboard) -> None:
    visit(page)
    expect(page).to_have_title("Engine Room")
    expect(page.get_by_text("Bring a trained model")).to_be_visible()
    expect(page.get_by_text(re.compile("1 worker, (idle|1 busy)"))).to_be_visible()
    expect(page.get_by_text("ONNX Runtime", exact=True)).to_be_visible()
    icon = page.locator("link[rel*=icon]").first.get_attribute("href")
    assert icon
    assert icon.startswith("data:image/svg"), "the icon is our own and asks nobody for it"


def test_one_click_brings_the_sample(page: Page) -> None:
    visit(page)
    page.get_by_role("button", name="Try the sample model").click()
    expect(page.get_by_role("heading", name="digits", level=1)).to_be_visible()
    expect(page.get_by_role("button", name="Build it")).to_be_visible()


def test_every_page_opens_from_the_top(page: Page) -> None:
    visit(page)
    for name in ("Models", "Build", "Jobs", "Engine", "Compare", "System", "Home"):
        page.get_by_test_id("stTopNav").get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(re.compile(r"/\w*"))
        expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
        expect(page.get_by_text("This page failed")).to_have_count(0)


def test_the_keyboard_reaches_everything(page: Page) -> None:
    visit(page)
    page.get_by_role("button", name="Choose files").wait_for()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    for wanted in ("Models", "System", "Choose files", "Choose a folder", "Try the sample model"):
        assert any(wanted in text for text in reached), (wanted, reached)


FOCUSED = """() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element?.innerText || element?.ariaLabel || element?.tagName || '';
}"""


def test_narrow_screens_need_no_sideways_scrolling(new_page: Callable[..., Page]) -> None:
    page = new_page(viewport={"width": 390, "height": 800})
    for path in ("/", "/model", "/system"):
        visit(page, path)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, path


def test_the_server_starts_one_worker_that_outlives_it_and_is_found_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    lock = worker_lock_file(workspace, parse_device("cpu"))
    pids = []
    try:
        for told in (b"has been started", b"is running already"):
            log = tmp_path / f"{len(pids)}.log"
            with log.open("ab") as output:
                server = subprocess.Popen(
                    [*SERVER, "--port", str(free_port()), "--workspace", str(workspace.root), "--device", "cpu"],
                    stdout=output,
                    stderr=output,
                )
            wait_for(lambda log=log, told=told: b"A worker for cpu " + told in log.read_bytes(), log)
            queue = Queue(workspace)
            wait_for(lambda queue=queue: bool(queue.workers()), log)
            pids += [worker.card.pid for worker in queue.workers()]
            queue.close()
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=20) == -signal.SIGTERM  # uvicorn raises it again once all is closed
            assert is_running(lock), "the worker goes on without the server"
        assert len(pids) == 2
        assert len(set(pids)) == 1, "the second server found the first one's worker"
    finally:
        for pid in set(pids):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not is_running(lock), tmp_path / "0.log")


def test_a_taken_port_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*SERVER, "--no-worker", "--port", str(port)],
            env=environment(Workspace(tmp_path)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        f"Port {port} is taken. Is the dashboard running already? Otherwise choose another with --port."
    )
    assert "Traceback" not in done.stderr


def test_a_server_without_a_worker_says_so(page: Page, tmp_path: Path) -> None:
    server, url = start_server(Workspace(tmp_path / "workspace"), tmp_path / "server.log")
    try:
        visit(page, url)
        expect(page.get_by_text("No worker is running, so builds wait.")).to_be_visible()
    finally:
        stop(server)


def test_on_a_narrow_screen_each_box_of_the_build_page_says_what_it_is(new_page: Callable[..., Page], digits: Model) -> None:
    page = new_page(viewport={"width": 400, "height": 900})
    visit(page, f"/build?model={digits.digest}")
    expect(page.locator(".st-key-path-board").get_by_text("ONNX → ONNX Runtime in int8")).to_be_visible()
    expect(page.locator(".st-key-path-board-head")).to_be_hidden()
    expect(page.locator(".st-key-path-board").get_by_text("–", exact=True).first).to_be_hidden()
