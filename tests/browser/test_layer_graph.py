"""The layer graph in a real browser: one selection for bar, graph and table; keyboard, search, opening a layer."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.driver import Dashboard, visit
from bench.stored_builds import Shelf, fill
from core.storage.workspace import Workspace

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def shelf(dashboard: Dashboard, workspace: Workspace) -> Shelf:
    return fill(workspace)


def graph_of(page: Page) -> Locator:
    graph = page.locator(".layer-graph")
    expect(graph).to_have_attribute("data-shown", "21")
    return graph


def opened(page: Page, shelf: Shelf, layer: int = 30) -> Locator:
    visit(page, f"/engine?build={shelf.fp16}&layer={layer}")
    return graph_of(page)


def expect_selected(page: Page, layer: int) -> None:
    """In the graph, the address and the panel."""
    expect(page.locator(".layer-graph")).to_have_attribute("data-selected", str(layer))
    expect(page.get_by_text(f"Layer {layer} of 63", exact=True)).to_be_visible()
    assert f"layer={layer}" in page.url


def test_it_opens_on_the_layer_of_the_address(page: Page, shelf: Shelf) -> None:
    opened(page, shelf)
    expect_selected(page, 30)
    expect(page.locator(".layer-graph .told")).to_contain_text("Layer 30")


def test_arrows_walk_along_the_flow_and_enter_selects(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    graph.locator(".canvas").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(graph.locator(".told")).to_contain_text("Layer 32")
    page.keyboard.press("Enter")
    expect_selected(page, 32)
    page.keyboard.press("ArrowLeft")
    expect(graph.locator(".told")).not_to_contain_text("Layer 32")


def test_search_finds_a_source_node_far_away(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf, 12)
    graph.get_by_role("searchbox").fill("conv5_block3_3_conv")
    graph.get_by_role("searchbox").press("Enter")
    expect(page.get_by_text("resnet50/conv5_block3_3_conv/Conv2D").first).to_be_visible()
    expect(graph).not_to_have_attribute("data-selected", "12")


def test_search_that_finds_nothing_says_so(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    graph.get_by_role("searchbox").fill("no such thing")
    graph.get_by_role("searchbox").press("Enter")
    expect(page.get_by_text("No layer and no source node has")).to_be_visible()


def test_a_layer_opens_into_its_source_nodes_and_closes(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    graph.get_by_role("button", name="Expand").click()
    expect(graph.get_by_role("button", name="Collapse")).to_be_visible()
    graph.locator(".canvas").focus()
    page.keyboard.press("e")
    expect(graph.get_by_role("button", name="Expand")).to_be_visible()


def test_a_double_click_opens_the_layer_under_the_pointer(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    page.locator(".layer-bars[data-bars]").wait_for()  # the chart above moves the canvas when it comes
    graph.locator(".canvas").dblclick()
    expect(graph.get_by_role("button", name="Collapse")).to_be_visible()


def test_the_whole_graph_on_demand(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    graph.get_by_role("button", name="Whole graph").click()
    expect(graph).to_have_attribute("data-shown", "63")
    graph.get_by_role("button", name="Whole graph").click()
    expect(graph).to_have_attribute("data-shown", "21")


def test_a_bar_selects_its_layer(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    plot = page.locator(".layer-bars .plot")
    plot.hover(position={"x": 56, "y": 150})
    expect(page.locator(".layer-bars .tip")).to_contain_text("Layer 1")
    plot.click(position={"x": 56, "y": 150})
    expect(graph).to_have_attribute("data-selected", "1")


def test_the_bars_by_keyboard(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    page.locator(".layer-bars .plot").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(graph).to_have_attribute("data-selected", "2")


def test_a_drag_over_bars_shows_them_alone(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    bars = page.locator(".layer-bars")
    box = bars.locator(".plot").bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 150, steps=4)
    page.mouse.up()
    expect(bars).not_to_have_attribute("data-bars", "63")
    shown = int(bars.get_attribute("data-bars") or 0)
    assert 10 < shown < 40
    assert 1 <= int(graph.get_attribute("data-selected") or 0) <= shown
    bars.get_by_role("button", name="All layers").click()
    expect(bars).to_have_attribute("data-bars", "63")


def test_colours_and_their_legend_follow_the_choice(page: Page, shelf: Shelf) -> None:
    graph = opened(page, shelf)
    expect(graph.locator(".legend li").first).to_have_text("float16")
    page.get_by_text("kind", exact=True).click()
    expect(graph.locator(".legend li").first).to_have_text("CaskConvolution")


def test_a_finding_leads_to_its_layer(page: Page, shelf: Shelf) -> None:
    visit(page, f"/engine?build={shelf.int8}&section=Findings")
    button = page.get_by_role("button", name=re.compile(r"^Layer \d+$")).first
    position = button.inner_text().removeprefix("Layer ").strip()
    button.click()
    expect(page.locator(".layer-graph")).to_have_attribute("data-selected", position)


def test_nothing_is_drawn_with_a_negative_width_behind_another_tab(page: Page, shelf: Shelf) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened(page, shelf)
    page.get_by_role("tab", name="Measurement").click()
    expect(page.get_by_text("95 % interval of the median")).to_be_attached()
    page.get_by_role("tab", name="Fused layers").click()
    expect(page.locator(".layer-bars svg rect").first).to_be_visible()
    for width in (70, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
    assert not [text for text in said if "<rect>" in text]


def test_all_figures_of_an_engine_stand_in_one_row(page: Page, shelf: Shelf) -> None:
    opened(page, shelf)
    tops = page.get_by_test_id("stMetric").evaluate_all("found => found.map(one => one.getBoundingClientRect().top)")
    assert len(tops) == 8
    assert len({round(top) for top in tops}) == 1
