"""The Jobs page keeps itself up to date, and is not drawn anew while nothing changes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, WebSocket, expect

from bench.driver import Dashboard, visit
from core.jobs.queue import Queue
from core.models.model import Model
from core.request.build_request import BuildRequest
from dashboard.components.job_list import IDLE_SECONDS

pytestmark = pytest.mark.browser


def test_an_idle_page_is_sent_nothing_and_learns_of_a_new_job(page: Page, dashboard: Dashboard, digits: Model) -> None:
    received: list[bytes | str] = []

    def keep(frame: bytes | str) -> None:
        received.append(frame)

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", keep)

    page.on("websocket", listen)
    queue = Queue(dashboard.workspace)
    request = BuildRequest(model=digits.digest, path="savedmodel.onnx.onnxruntime", device="cuda", seed=7)  # no worker takes it
    try:
        before = queue.submit(request).job
        assert before
        queue.cancel(before)
        visit(page, "/jobs")
        expect(page.get_by_role("heading", name="Finished")).to_be_visible()
        received.clear()
        page.wait_for_timeout(2500 * IDLE_SECONDS)
        assert received  # it has looked
        assert not [frame for frame in received if "digits" in str(frame)]
        job = queue.submit(request).job
        assert job
        expect(page.get_by_role("heading", name="Running and waiting: 1")).to_be_visible()
        queue.cancel(job)
        expect(page.get_by_role("heading", name="Running and waiting: 0")).to_be_visible()
        expect(page.get_by_test_id("stToast")).to_contain_text("cancelled")
    finally:
        queue.close()
