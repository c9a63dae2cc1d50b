"""What a page costs that is open and idle: `python -m bench.idle_page [PAGE...]`, as a share of a core, server and browser apart.

The queue has 35 jobs that have ended, and a worker that waits.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from bench.driver import CHROMIUM, start_server, stop, visit
from bench.shop import make_shop

JOBS = 35
SETTLE_SECONDS, WATCHED_SECONDS = 3.0, 20.0


def processor_seconds(processes: Sequence[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        times = process.cpu_times()
        total += times.user + times.system
    return total


def main(pages: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="engine-room-") as folder, sync_playwright() as playwright:
        os.chmod(folder, 0o755)  # noqa: S103  the walls around a stage let it read what all may
        shop = make_shop(Path(folder))
        shop.start_worker()
        for job in shop.queue.submit_all([shop.request(seed) for seed in range(JOBS)]):
            shop.finished(job.job, seconds=300)
        server, url = start_server(shop.workspace, Path(folder) / "server.log")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(base_url=url)
            for path in pages:
                visit(page, path)
                time.sleep(SETTLE_SECONDS)
                ours = {"server": [psutil.Process(server.pid)]}
                ours["browser"] = [one for one in psutil.Process().children(recursive=True) if one.name().startswith("chrom")]
                before = {name: processor_seconds(processes) for name, processes in ours.items()}
                time.sleep(WATCHED_SECONDS)
                shares = {name: processor_seconds(ours[name]) - spent for name, spent in before.items()}
                print(path, ", ".join(f"{name} {spent / WATCHED_SECONDS:.1%} of a core" for name, spent in shares.items()))
        finally:
            browser.close()
            stop(server)
            shop.close()


if __name__ == "__main__":
    main(sys.argv[1:] or ["/jobs", "/"])
