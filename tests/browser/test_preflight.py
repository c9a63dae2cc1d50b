"""A preflight in a real browser: run, told, shown in the graph without colour alone, and a node taken home."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, visit
from core.intake.add_model import add_model
from core.models.model import Model
from core.onnxio.file import save_onnx
from tests import asked_models as models
from tests.browser.axe import violations

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def odd(dashboard: Dashboard, tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "odd.onnx"
    save_onnx(models.odd_names(), path)
    return add_model(path, dashboard.workspace)


def test_it_is_run_told_and_shown(page: Page, odd: Model) -> None:
    visit(page, f"/model?model={odd.digest}")
    page.get_by_role("button", name="Run preflight").click()
    expect(page.get_by_text("NonZero plugin creator version 1 was not found").first).to_be_visible(timeout=90_000)
    expect(page.get_by_text("stands between regions 1 and 2")).to_be_visible()
    graph = page.locator(".layer-graph")
    expect(graph.locator(".legend li")).to_have_text(["✓ supported", "✗ not supported"])
    expect(graph.locator(".told")).to_have_text("Operation 5, NonZero, not supported by TensorRT-RTX: p | q")

    page.get_by_role("radio", name="ONNX Runtime takes").click()
    expect(graph.locator(".legend li")).to_have_text(["✓ supported"])
    expect(graph.locator(".told")).to_contain_text("supported by ONNX Runtime")
    page.get_by_role("radio", name="Kind of op").click()
    expect(graph.locator(".legend")).to_contain_text("Sigmoid")


def test_a_link_shows_a_colleague_the_same_target(page: Page, odd: Model) -> None:
    visit(page, f"/model?model={odd.digest}&target=openvino&node=2")
    expect(page.get_by_text("OpenVINO takes all 7 nodes: 1 region.")).to_be_visible(timeout=30_000)
    expect(page.locator(".layer-graph .told")).to_have_text("Operation 2, Sigmoid, supported by OpenVINO: b, c")


def test_a_node_is_downloaded(page: Page, odd: Model, tmp_path: Path) -> None:
    visit(page, f"/model?model={odd.digest}&target=tensorrt_rtx")
    link = page.get_by_role("link", name=re.compile("^(download )?ONNX$"))
    with page.expect_download() as started:
        link.click()
    assert started.value.suggested_filename == "odd-NonZero-5.onnx"
    started.value.save_as(tmp_path / "node.onnx")
    small = onnx.load(tmp_path / "node.onnx")
    onnx.checker.check_model(small)
    assert [one.name for one in small.graph.node] == ["p | q"]


def test_a_node_is_for_those_who_have_a_token(page: Page, odd: Model, dashboard: Dashboard) -> None:
    path = f"/engine-room/models/{odd.digest}/nodes/tensorrt_rtx"
    assert page.request.get(f"{dashboard.url}{path}/5?signature=main").status == 403


def test_axe_finds_nothing_of_ours(page: Page, odd: Model) -> None:
    def open_it() -> None:
        visit(page, f"/model?model={odd.digest}&target=tensorrt_rtx")
        expect(page.locator(".layer-graph .told")).to_contain_text("not supported by TensorRT-RTX")

    found = violations(page, open_it, settles_ms=700)
    assert not found, "\n".join(found)
