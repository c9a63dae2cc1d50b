"""Deleting and cleaning up in a real browser: asked first, then done, and told."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, visit
from core.intake.add_model import add_model
from core.models.model import Model
from core.stages.outcome import Outcome
from sample_models.make_models import sample
from tests.browser.test_upload import onnx_model

pytestmark = pytest.mark.browser


def test_a_model_is_deleted_after_asking(page: Page, dashboard: Dashboard, tmp_path: Path) -> None:
    model = add_model(onnx_model(tmp_path / "doomed.onnx", features=21), dashboard.workspace)
    visit(page, f"/model?model={model.digest}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert dashboard.workspace.model_folder(model.digest).exists()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    expect(page.get_by_text("doomed.onnx is deleted")).to_be_visible()
    assert not dashboard.workspace.model_folder(model.digest).exists()


def test_cleaning_up_frees_what_nothing_uses(page: Page, dashboard: Dashboard) -> None:
    unused = dashboard.workspace.artifacts / "unused"
    unused.mkdir(parents=True, exist_ok=True)
    (unused / "engine").write_bytes(b"x" * 5_000)
    os.utime(unused, (1, 1))
    visit(page, "/system")
    page.get_by_role("button", name="Clean up").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("of artifacts that no build uses")
    dialog.get_by_role("button", name="Clean up").click()
    expect(page.get_by_text(re.compile("freed, .* deleted"))).to_be_visible()
    assert not unused.exists()


def test_a_savedmodel_shows_its_graph_before_anything_is_converted(page: Page, dashboard: Dashboard) -> None:
    model = add_model(sample("two_signatures"), dashboard.workspace)
    visit(page, f"/model?model={model.digest}")
    expect(page.locator(".layer-graph")).to_have_attribute("data-shown", re.compile(r"\d+"))
    expect(page.get_by_text("As uploaded, SavedModel, signature decode")).to_be_visible()


def test_the_graph_of_a_converted_model_is_drawn_and_searched(page: Page, digits_build: Outcome) -> None:
    visit(page, f"/model?model={digits_build.model.digest}")
    graph = page.locator(".layer-graph")
    expect(graph).to_have_attribute("data-shown", re.compile(r"\d+"))
    graph.get_by_role("searchbox").fill("softmax")
    graph.get_by_role("searchbox").press("Enter")
    expect(graph.locator(".told")).to_contain_text("Softmax")
    expect(page).to_have_url(re.compile("node="))


def test_a_link_shows_a_colleague_the_same(page: Page, digits: Model) -> None:
    visit(page, "/model")
    page.get_by_role("link", name="digits").first.click()
    page.wait_for_url(f"**/model?model={digits.digest}")
    expect(page.get_by_role("heading", name="digits", level=1)).to_be_visible()
    page.get_by_role("link", name="All models").click()
    page.wait_for_url(re.compile("/model$"))
    expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="digits", level=1)).to_be_visible()
