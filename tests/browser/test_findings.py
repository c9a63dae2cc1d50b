"""A mend tried from beginning to end: the worker builds it for real, with no GPU, and the page shows before and after."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, visit, wait_for
from core.backends.base import backend_named
from core.base.precision import Precision
from core.jobs.queue import Queue
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.storage.workspace import Workspace

HERE = backend_named("tensorrt_rtx").availability()
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not HERE.available, reason=f"{HERE.reason} {HERE.hint}")]
BUILD_MILLISECONDS = 90_000


@pytest.fixture(scope="session")
def int8_build(dashboard: Dashboard, workspace: Workspace, digits: Model) -> str:
    queue = Queue(workspace)
    asked = BuildRequest(model=digits.digest, path="savedmodel.onnx.tensorrt_rtx", precision=Precision.INT8)
    submitted = queue.submit(asked)
    assert submitted.job
    job = submitted.job
    wait_for(lambda: queue.job(job).state.finished, workspace.root / "worker.log")
    queue.close()
    return submitted.key


def test_a_mend_is_tried_in_one_click(page: Page, int8_build: str) -> None:
    visit(page, f"/engine?build={int8_build}&section=Findings")
    expect(page.get_by_text("4 layers compute in int8 and write float32")).to_be_visible()
    expect(page.get_by_text("--lower placement=scales_behind")).to_be_visible()
    page.get_by_role("button", name="Try it").first.click()
    expect(page.get_by_role("link", name="Follow its job")).to_be_visible()
    expect(page.get_by_text("Tried. It helps: bytes moved")).to_be_visible(timeout=BUILD_MILLISECONDS)
    table = page.get_by_test_id("stTable").first
    for label, before, after in (("Layers", "12", "12"), ("Kernels that only quantize", "5", "5")):
        expect(table.get_by_role("row", name=re.compile(rf"^{label} {before} {after} the same$"))).to_be_visible()
    expect(table.get_by_role("row", name=re.compile(r"^Moved between layers 3\d\.\d kB 2\d\.\d kB −\d\d\.\d %$"))).to_be_visible()
    page.get_by_role("link", name="Compare side by side").first.click()
    expect(page.get_by_role("heading", name="digits: two builds side by side")).to_be_visible()
