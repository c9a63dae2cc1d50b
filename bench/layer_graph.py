"""How long the engine page of a large model takes to open, in a real Chromium: `python -m bench.layer_graph`.

Writes a build of so many layers into a workspace of its own, starts a server, and opens the page several times in fresh browser
contexts. Prints seconds from the request to: the graph of the selection's neighbours drawn, the bars drawn, the table drawn; then
what it takes to select another layer, and to draw every layer at once.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.driver import CHROMIUM, start_server, stop
from bench.stored_builds import chain, store_build, store_model
from core.request.build_request import BuildRequest
from core.storage.workspace import Workspace

WAIT = 60_000
MARKS = {
    "graph": ".layer-graph[data-shown]",
    "bars": ".layer-bars[data-bars] svg path",
    "table": "[data-testid=stDataFrame] canvas",
}


def opened(browser: Browser, address: str) -> tuple[Page, dict[str, float]]:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    seconds: dict[str, float] = {}
    while len(seconds) < len(MARKS):
        for name, mark in MARKS.items():
            if name not in seconds and page.locator(mark).count():
                seconds[name] = time.perf_counter() - start
        if time.perf_counter() - start > WAIT / 1000:
            raise SystemExit(f"The page did not open: {seconds}")
        page.wait_for_timeout(10)
    return page, seconds


def selecting(page: Page) -> float:
    graph = page.locator(".layer-graph")
    before = int(graph.get_attribute("data-selected") or 0)
    page.locator(".layer-graph .canvas").focus()
    page.keyboard.press("ArrowDown")
    start = time.perf_counter()
    page.keyboard.press("Enter")
    page.locator(f".layer-graph[data-selected='{before + 1}']").wait_for(timeout=WAIT)
    return time.perf_counter() - start


def whole(page: Page, layers: int) -> float:
    start = time.perf_counter()
    page.get_by_role("button", name="Whole graph").click()
    page.locator(f".layer-graph[data-shown='{layers}']").wait_for(timeout=WAIT)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        workspace = Workspace(Path(folder))
        model = store_model(workspace, "large")
        request = BuildRequest(model=model.digest, path="onnx.tensorrt")
        key = store_build(workspace, request, graph=chain(arguments.layers), median_ms=20.0)
        server, url = start_server(workspace, workspace.root / "server.log")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found: dict[str, list[float]] = {}
        for _ in range(arguments.runs):
            page, seconds = opened(browser, f"{url}/engine?build={key}")
            page.wait_for_timeout(1000)
            figures = {**seconds, "select another": selecting(page), "whole graph": whole(page, arguments.layers)}
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
            page.context.close()
        version = browser.version
        browser.close()
        stop(server)
    load = os.getloadavg()[0]
    print(f"{arguments.layers:,} layers, {arguments.runs} runs; {os.cpu_count()} cores, {platform.machine()}, load {load:.1f}")
    print(f"Chromium {version}\n\n| seconds until | fresh server | median of others | slowest |\n|---|---|---|---|")
    for name, values in found.items():
        later = values[1:] or values
        print(f"| {name} | {values[0]:.2f} | {statistics.median(later):.2f} | {max(later):.2f} |")


if __name__ == "__main__":
    main()
