"""The dashboard under use: how soon the first page is there, and what the server's memory does over uploads and visits.

    python -m bench.dashboard                  first page, 20 uploads, 50 visits
    python -m bench.dashboard --large          also an upload of 2 GiB

Everything goes through a real Chromium. Memory is the server process's own resident size; models are read by child processes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper
from playwright.sync_api import Browser, Page, sync_playwright

from bench.driver import CHROMIUM, start_server, stop, visit
from core.benchmark.machine import describe_machine
from core.intake.add_model import add_model
from core.storage.workspace import Workspace
from sample_models.make_models import sample

MIB = 1 << 20
UPLOADS = 20
VISITS = 50
LARGE_MINUTES = 10
PAGES = ("/", "/model", "/model?model={model}", "/build?model={model}", "/jobs", "/engine", "/compare?model={model}", "/system")


def resident(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


@contextmanager
def peak_of(pid: int, found: list[int]) -> Iterator[None]:
    """Appends the largest resident size seen meanwhile."""
    over = threading.Event()
    seen = [resident(pid)]

    def watch() -> None:
        while not over.wait(0.02):
            seen.append(resident(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    over.set()
    thread.join()
    found.append(max(seen))


def write_model(folder: Path, size_bytes: int, seed: int) -> list[Path]:
    """An ONNX model whose weights are so many random bytes in a file of their own."""
    count = size_bytes // 4
    name = f"net{seed}"
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[count], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=f"{name}.data")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "weights"], ["y"])],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [count])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [count])],
        [tensor],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / f"{name}.onnx")
    random = np.random.default_rng(seed)
    with (folder / f"{name}.data").open("wb") as file:
        for start in range(0, size_bytes, 64 * MIB):
            file.write(random.bytes(min(64 * MIB, size_bytes - start)))
    return [folder / f"{name}.onnx", folder / f"{name}.data"]


def upload(page: Page, files: list[Path], *, minutes: float = 2.0) -> float:
    """Seconds from choosing the files to the model's page."""
    visit(page, "/")
    page.locator("button.choose-files").wait_for()
    started = time.monotonic()
    page.locator("input.files").set_input_files([str(file) for file in files])
    page.wait_for_url("**/model?model=*", timeout=minutes * 60_000)
    return time.monotonic() - started


def first_page(browser: Browser, url: str, times: int) -> list[float]:
    """Seconds until a fresh browser's first page can be used, each time with an empty cache."""
    found = []
    for _ in range(times):
        context = browser.new_context(base_url=url)
        page = context.new_page()
        started = time.monotonic()
        page.goto("/")
        page.locator("button.choose-files").wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        found.append(time.monotonic() - started)
        context.close()
    return found


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also upload 2 GiB (needs 6 GiB of disk)")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    with tempfile.TemporaryDirectory(prefix="engine-room-bench-") as folder, sync_playwright() as playwright:
        root = Path(folder)
        workspace = Workspace(root / "workspace")
        model = add_model(sample("digits"), workspace).digest
        server, url = start_server(workspace, root / "server.log")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            first_page(browser, url, 1)
            seconds = first_page(browser, url, 10)
            print(f"first page: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {len(seconds)}\n")
            page = browser.new_context(base_url=url).new_page()
            for path in PAGES:
                visit(page, path.format(model=model))
            row("after", "server's memory, MB", "peak, MB", "seconds")
            row("---", "---:", "---:", "---:")
            row("each page once", f"{resident(server.pid) / 1e6:.0f}", "", "")
            for number in range(1, UPLOADS + 1):
                peaks: list[int] = []
                files = write_model(root, 64 * MIB, number)
                with peak_of(server.pid, peaks):
                    took = upload(page, files)
                for file in files:
                    file.unlink()
                if number % 5 == 0:
                    row(
                        f"upload {number} of 64 MiB", f"{resident(server.pid) / 1e6:.0f}", f"{peaks[-1] / 1e6:.0f}", f"{took:.1f}"
                    )
            for number in range(1, VISITS + 1):
                visit(page, PAGES[number % len(PAGES)].format(model=model))
                if number % 10 == 0:
                    row(f"visit {number}", f"{resident(server.pid) / 1e6:.0f}", "", "")
            if arguments.large:
                peaks = []
                files = write_model(root, 2048 * MIB, 0)
                before = resident(server.pid)
                with peak_of(server.pid, peaks):
                    took = upload(page, files, minutes=LARGE_MINUTES)
                more = f"{peaks[0] / 1e6:.0f} (+{(peaks[0] - before) / 1e6:.0f})"
                row("upload of 2 GiB", f"{resident(server.pid) / 1e6:.0f}", more, f"{took:.1f}")
        finally:
            browser.close()
            stop(server)


if __name__ == "__main__":
    main()
