"""Swim lanes and the tab of memory in a real browser: a click on a lane selects its layer, and axe finds nothing of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, visit
from bench.stored_builds import fill, store_build, streaming, streaming_request
from core.storage.workspace import Workspace
from tests.browser.axe import THEIRS, violations

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def build(dashboard: Dashboard, workspace: Workspace) -> str:
    return store_build(workspace, streaming_request(fill(workspace).model), graph=streaming(), median_ms=1.0)


def downloaded(page: Page, button: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    return Path(waiting.value.path()).read_bytes()


def test_a_click_on_a_lane_selects_the_layer(page: Page, build: str) -> None:
    visit(page, f"/engine?build={build}&layer=3")
    lanes = page.locator("[class*=st-key-chart-streams] .js-plotly-plot")
    expect(lanes.locator(".bars .point path")).to_have_count(107)
    place = lanes.evaluate("""chart => {
      const trace = chart.data.findIndex((one) => one.type === "bar" && Array.from(one.customdata).includes(13));
      const index = Array.from(chart.data[trace].customdata).indexOf(13);
      const { _length: wide, _offset: left, range } = chart._fullLayout.xaxis;
      const y = chart._fullLayout.yaxis;
      const across = left + (wide * (chart.data[trace].x[index] - range[0])) / (range[1] - range[0]);
      return { x: across, y: y._offset + y._length * (1 - (-1 - y.range[0]) / (y.range[1] - y.range[0])) };
    }""")
    lanes.scroll_into_view_if_needed()
    lanes.click(position=place)
    expect(page.get_by_text("Layer 13 of 123", exact=True)).to_be_visible()
    expect(page.get_by_text("Stream: 1")).to_be_visible()
    assert "layer=13" in page.url
    expect(page.locator(".layer-bars")).to_have_attribute("data-selected", "13")


def test_streams_and_memory_are_downloaded(page: Page, build: str) -> None:
    visit(page, f"/engine?build={build}")
    (streams,) = json.loads(downloaded(page, "Streams as JSON"))
    assert streams["summary"] == "2 streams; 16 of 107 layers on stream 1; 8 waits."
    page.get_by_role("tab", name="Memory").click()
    memory = json.loads(downloaded(page, "Memory as JSON"))
    assert memory["context_bytes"] == 75_792_384
    assert downloaded(page, "Bytes of layers as CSV").decode().count("\n") == 107


def test_contexts_are_in_the_address(page: Page, build: str) -> None:
    visit(page, f"/engine?build={build}&section=Memory&contexts=16")
    expect(page.get_by_label("Contexts", exact=True)).to_have_value("16")
    page.get_by_label("Contexts", exact=True).fill("5")
    page.get_by_label("Contexts", exact=True).press("Enter")
    expect(page.locator(".xtick text").filter(has_text="5 contexts")).to_be_visible()
    page.wait_for_url("**contexts=5**")


@pytest.mark.parametrize("path", ["/engine?build={}", "/engine?build={}&section=Memory"])
def test_axe_finds_nothing_of_ours(build: str, page: Page, path: str) -> None:
    ours = violations(page, lambda: visit(page, path.format(build)), settles_ms=2000, theirs=THEIRS)
    assert not ours, "\n".join(ours)
