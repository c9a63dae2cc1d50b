"""A real build in a real browser: figures, downloads, the report, and two builds side by side; axe finds nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.driver import Dashboard, visit
from bench.stored_builds import Shelf, fill
from core.stages.outcome import Outcome
from core.storage.workspace import Workspace
from tests.browser.axe import THEIRS, violations

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def shelf(dashboard: Dashboard, workspace: Workspace) -> Shelf:
    return fill(workspace)


def downloaded(page: Page, button: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    return Path(waiting.value.path()).read_bytes()


def test_a_real_build_shows_its_layers_and_gives_its_files(page: Page, digits_build: Outcome) -> None:
    assert digits_build.built
    assert digits_build.graph
    visit(page, f"/engine?build={digits_build.build.key}")
    expect(page.get_by_role("heading", name="digits: ONNX → ONNX Runtime")).to_be_visible()
    page.locator(".layer-graph").get_by_role("button", name="Whole graph").click()
    expect(page.locator(".layer-graph")).to_have_attribute("data-shown", str(len(digits_build.graph.layers)))
    page.get_by_test_id("stPopoverButton").click()
    address = page.get_by_role("link", name="Engine ·").get_attribute("href")
    answer = page.request.get(str(address))
    assert answer.ok
    assert len(answer.body()) == digits_build.built.engine.size_bytes
    assert downloaded(page, "Layers as CSV").decode().count("\n") == len(digits_build.graph.layers) + 1
    assert b"engineroom build" in downloaded(page, "Report as HTML")


def test_the_report_opens_without_a_network(page: Page, shelf: Shelf, new_page: Callable[..., Page], tmp_path: Path) -> None:
    visit(page, f"/engine?build={shelf.fp16}")
    page.get_by_test_id("stPopoverButton").click()
    file = tmp_path / "report.html"
    file.write_bytes(downloaded(page, "Report as HTML"))
    offline = new_page(offline=True)
    said: list[str] = []
    offline.on("console", lambda message: said.append(message.text))
    offline.set_content(file.read_text(encoding="utf-8"))
    expect(offline.locator("svg")).to_have_count(2)
    assert not said


def saved(page: Page, chart: Locator, kind: str) -> bytes:
    with page.expect_download() as waiting:
        chart.get_by_role("button", name=kind, exact=True).click()
    assert waiting.value.suggested_filename.endswith(f".{kind.lower()}")
    return Path(waiting.value.path()).read_bytes()


def check_images(page: Page, chart: Locator, shows: str) -> None:
    """Both kinds are images that a browser can show, with this text in the drawing."""
    png, svg = saved(page, chart, "PNG"), saved(page, chart, "SVG").decode()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 5000
    assert shows in svg
    assert page.evaluate(
        "text => new DOMParser().parseFromString(text, 'image/svg+xml').querySelector('parsererror') === null", svg
    )


def test_the_chart_of_layers_is_saved_as_png_and_svg(page: Page, shelf: Shelf) -> None:
    visit(page, f"/engine?build={shelf.fp16}&section=Fused+layers")
    page.locator(".layer-bars[data-bars]").wait_for()
    check_images(page, page.locator(".layer-bars"), "Layers in the order of execution")


def test_charts_of_latency_are_saved_as_png_and_svg(page: Page, shelf: Shelf) -> None:
    visit(page, f"/compare?model={shelf.model.digest}")
    page.locator(".js-plotly-plot .legend").first.wait_for()
    check_images(page, page.locator(".saving").first, "Median, ms")


def test_two_rows_lead_to_two_builds_side_by_side(page: Page, shelf: Shelf) -> None:
    visit(page, f"/compare?builds={shelf.fp32},{shelf.fp16}")
    expect(page.get_by_role("heading", name="resnet50: two builds side by side")).to_be_visible()
    page.get_by_role("button", name="Swap A and B").click()
    expect(page.get_by_text("B, held against A: not worth it")).to_be_visible()
    assert page.url.endswith(f"{shelf.fp16}%2C{shelf.fp32}")


def test_the_board_is_the_same_for_a_colleague(page: Page, shelf: Shelf, new_page: Callable[..., Page]) -> None:
    for one in (page, new_page(color_scheme="dark", viewport={"width": 420, "height": 900})):
        visit(one, f"/compare?model={shelf.model.digest}&baseline={shelf.fp32[:12]}")
        expect(one.get_by_text("TensorRT in fp16 is the fastest that is right")).to_be_visible()


@pytest.mark.parametrize("path", ["/engine?build={fp16}", "/compare?model={model}", "/compare?builds={fp32},{fp16}"])
def test_axe_finds_nothing_of_ours(shelf: Shelf, page: Page, path: str) -> None:
    address = path.format(fp16=shelf.fp16, fp32=shelf.fp32, model=shelf.model.digest)
    ours = violations(page, lambda: visit(page, address), settles_ms=2000, theirs=THEIRS)
    assert not ours, "\n".join(ours)
