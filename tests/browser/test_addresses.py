"""The address tells what a page shows: links within a page set it, a reload keeps it, back goes back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, visit
from core.jobs.queue import Queue
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome
from core.storage.workspace import Workspace

pytestmark = pytest.mark.browser


def top(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNav").get_by_role("link", name=name, exact=True).click()


def cancelled_job(workspace: Workspace, model: Model) -> str:
    """Of a device that no worker here has."""
    queue = Queue(workspace)
    job = queue.submit(BuildRequest(model=model.digest, path="savedmodel.onnx.onnxruntime", device="cuda")).job
    assert job
    queue.cancel(job)
    queue.close()
    return job


def test_a_jobs_details_have_an_address(page: Page, dashboard: Dashboard, digits: Model) -> None:
    job = cancelled_job(dashboard.workspace, digits)
    detail, all_jobs = page.get_by_text(f"Job {job}"), page.get_by_role("link", name="All jobs")
    visit(page, "/jobs")
    page.get_by_role("link", name="Details").first.click()
    page.wait_for_url(f"**/jobs?job={job}")
    expect(detail).to_be_visible()
    page.reload()
    expect(detail).to_be_visible()

    all_jobs.click()
    page.wait_for_url(re.compile("/jobs$"))
    expect(page.get_by_role("heading", name="Finished")).to_be_visible()
    page.go_back()
    page.wait_for_url(f"**/jobs?job={job}")
    expect(detail).to_be_visible()

    top(page, "Jobs")
    page.wait_for_url(re.compile("/jobs$"))
    expect(page.get_by_role("heading", name="Finished")).to_be_visible()
    expect(all_jobs).to_have_count(0)


def test_a_retry_leads_to_the_new_job(page: Page, dashboard: Dashboard, digits: Model) -> None:
    job = cancelled_job(dashboard.workspace, digits)
    visit(page, "/jobs")
    page.get_by_role("link", name="Details").first.click()
    page.wait_for_url(f"**/jobs?job={job}")
    retry = page.get_by_role("button", name="Retry")
    expect(retry).to_have_count(1)  # the list's are drawn for a moment more
    retry.click()
    page.wait_for_url(re.compile(rf"/jobs\?job=(?!{job})\w+"))
    new = page.url.split("job=")[1]
    expect(page.get_by_text(f"Job {new}")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled").first).to_be_visible()


def test_the_top_link_of_a_page_leads_to_all_it_has(page: Page, digits_build: Outcome) -> None:
    visit(page, f"/model?model={digits_build.model.digest}")
    top(page, "Models")
    page.wait_for_url(re.compile("/model$"))
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    visit(page, f"/engine?build={digits_build.build.key}")
    top(page, "Engine")
    page.wait_for_url(re.compile("/engine$"))
    expect(page.get_by_text("Choose a build, newest first.")).to_be_visible()
    page.get_by_role("link", name="digits").first.click()
    page.wait_for_url("**/engine?build=*")
    expect(page.get_by_role("tab", name="Fused layers")).to_be_visible()
