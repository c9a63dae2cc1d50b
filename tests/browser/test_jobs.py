"""The Jobs page keeps itself up to date, and is not drawn anew while nothing changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, WebSocket, expect

from bench.driver import Dashboard, visit
from core.jobs.queue import Queue
from core.models.model import Model
from core.request.build_request import BuildRequest
from dashboard.components.job_list import IDLE_SECONDS, REFRESH_SECONDS

pytestmark = pytest.mark.browser


@pytest.fixture
def queue(dashboard: Dashboard) -> Iterator[Queue]:
    queue = Queue(dashboard.workspace)
    yield queue
    queue.close()


@pytest.fixture
def received(page: Page) -> list[bytes | str]:
    """What the page is sent; to be asked for before it is opened."""
    frames: list[bytes | str] = []

    def keep(frame: bytes | str) -> None:
        frames.append(frame)

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", keep)

    page.on("websocket", listen)
    return frames


def submitted(queue: Queue, model: Model) -> str:
    """A job that no worker takes."""
    job = queue.submit(BuildRequest(model=model.digest, path="savedmodel.onnx.onnxruntime", device="cuda", seed=7)).job
    assert job
    return job


def test_an_idle_page_is_sent_nothing_and_learns_of_a_new_job(
    page: Page, received: list[bytes | str], queue: Queue, digits: Model
) -> None:
    queue.cancel(submitted(queue, digits))
    visit(page, "/jobs")
    expect(page.get_by_role("heading", name="Finished")).to_be_visible()
    received.clear()
    page.wait_for_timeout(2500 * IDLE_SECONDS)
    assert received  # it has looked
    assert not [frame for frame in received if "digits" in str(frame)]
    job = submitted(queue, digits)
    expect(page.get_by_role("heading", name="Running and waiting: 1")).to_be_visible()
    queue.cancel(job)
    expect(page.get_by_role("heading", name="Running and waiting: 0")).to_be_visible()
    expect(page.get_by_test_id("stToast")).to_contain_text("cancelled")


def test_a_job_that_has_ended_under_its_page_is_asked_for_no_more(
    page: Page, received: list[bytes | str], queue: Queue, digits: Model
) -> None:
    job = submitted(queue, digits)
    visit(page, f"/jobs?job={job}")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    queue.cancel(job)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    expect(page.get_by_test_id("stToast")).to_contain_text("cancelled")
    page.wait_for_timeout(1000 * REFRESH_SECONDS)
    received.clear()
    page.wait_for_timeout(2500 * REFRESH_SECONDS)
    assert received == []
