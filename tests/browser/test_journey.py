"""The whole journey in a real browser: upload, build two paths, watch, cancel one, see layers, compare, download."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.driver import visit
from sample_models.make_models import sample

pytestmark = pytest.mark.browser

NAME = "travelling model"
BUILD_MILLISECONDS = 240_000


def row(page: Page, path: str) -> Locator:
    """The job of our model by that path, in the list."""
    named = page.get_by_text(f"{NAME}: {path} in fp32", exact=True)
    return (
        page.locator("[data-testid=stLayoutWrapper]").filter(has=named).filter(has=page.get_by_role("link", name="Details")).last
    )


def check(page: Page, *wanted: str) -> None:
    """Checks these boxes of the board and no others."""
    boxes = page.get_by_role("checkbox", name=re.compile(r" in fp\d+$|^\S+ in fp32$"))
    boxes.first.wait_for(state="attached")
    for label in boxes.evaluate_all("found => found.filter(box => box.checked).map(box => box.ariaLabel)"):
        if label not in wanted:
            page.get_by_role("checkbox", name=label, exact=True).uncheck(force=True)
    for label in wanted:
        page.get_by_role("checkbox", name=label, exact=True).check(force=True)


def test_from_upload_to_comparison(page: Page, new_page: Callable[..., Page], tmp_path: Path) -> None:
    shutil.copytree(sample("digits"), tmp_path / NAME)
    (tmp_path / NAME / "fingerprint.pb").unlink(missing_ok=True)  # another model than the sample that other tests use
    visit(page)
    page.locator("input.folder").set_input_files(str(tmp_path / NAME))
    page.wait_for_url("**/model?model=*")
    expect(page.get_by_role("heading", name=NAME, level=1)).to_be_visible()
    digest = page.url.split("model=")[1]

    page.get_by_role("button", name="Build it").click()
    page.wait_for_url("**/build?model=*")
    check(page, "ONNX → ONNX Runtime in fp32", "OpenVINO in fp32")
    page.get_by_role("button", name="Queue 2 builds").click()
    expect(page.get_by_text("is queued")).to_have_count(2)

    visit(page, "/jobs")
    for path in ("ONNX → ONNX Runtime", "OpenVINO"):
        expect(row(page, path)).to_be_visible()
    expect(page.get_by_role("progressbar").first).to_be_visible(timeout=BUILD_MILLISECONDS)
    page.reload()  # in the middle: nothing is lost
    for path in ("ONNX → ONNX Runtime", "OpenVINO"):
        expect(row(page, path)).to_be_visible()

    colleague = new_page()
    visit(colleague, f"/build?model={digest}")
    check(colleague, "TensorFlow, XLA in fp32")
    colleague.get_by_role("button", name="Queue 1 build").click()
    expect(colleague.get_by_text("is queued")).to_be_visible()
    cancelled = row(page, "TensorFlow, XLA")
    cancel = cancelled.get_by_role("button", name="Cancel")
    expect(cancel).to_have_count(1)  # rows that move up show the former row's button for a moment
    cancel.click()
    expect(cancelled.get_by_text("cancelled").first).to_be_visible()
    visit(colleague, "/jobs")
    expect(row(colleague, "TensorFlow, XLA").get_by_text("cancelled").first).to_be_visible()

    toast = page.get_by_test_id("stToast").filter(has_text=f"{NAME}: OpenVINO in fp32: done")
    expect(toast).to_be_visible(timeout=BUILD_MILLISECONDS)
    for path in ("ONNX → ONNX Runtime", "OpenVINO"):
        for browser in (page, colleague):
            expect(row(browser, path).get_by_role("link", name="Engine")).to_be_visible(timeout=BUILD_MILLISECONDS)

    page.wait_for_timeout(2500)  # the list is drawn anew every second; let it settle
    row(page, "OpenVINO").get_by_role("link", name="Engine").click()
    page.wait_for_url("**/engine?build=*")
    expect(page.get_by_role("heading", name=f"{NAME}: OpenVINO")).to_be_visible()
    expect(page.get_by_text("on par").first).to_be_visible()
    expect(page.locator(".layer-graph")).to_be_visible()
    page.get_by_test_id("stPopoverButton").click()
    with page.expect_download() as engine:
        page.get_by_role("link", name="Engine ·").click()
    assert Path(engine.value.path()).stat().st_size > 0

    visit(page, f"/compare?model={digest}")
    expect(page.get_by_text(re.compile("the fastest|is worth more than|No winner yet"))).to_be_visible()
    with page.expect_download() as table:
        page.get_by_role("button", name="CSV", exact=True).click()
    lines = Path(table.value.path()).read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if "ONNX Runtime" in line or "OpenVINO" in line]) >= 2
