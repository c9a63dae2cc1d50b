"""The server's memory: an upload goes to disk and not into it. The figures of a day's use are bench/dashboard.py's."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, visit

pytestmark = pytest.mark.browser

MIB = 1 << 20
SIZE = 384 * MIB  # six slices
ALLOWED = 150 * MIB  # what 2 GiB may take; the size of the file must not show


def test_a_large_upload_stays_out_of_the_servers_memory(page: Page, dashboard: Dashboard, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(SIZE)
    visit(page)
    server = psutil.Process(dashboard.pid)
    before = server.memory_info().rss
    seen, over = [before], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.append(server.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    page.locator("input.files").set_input_files(str(path))
    expect(page.locator(".problem .message")).to_contain_text("large.bin", timeout=120_000)
    over.set()
    watcher.join()
    assert max(seen) - before < ALLOWED
    page.get_by_role("button", name="Dismiss").click()
