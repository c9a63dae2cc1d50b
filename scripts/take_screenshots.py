"""Takes docs/screenshots/: every page, light and dark, from a real run on this machine.

    python -m scripts.take_screenshots [PAGE ...]

A server and a worker run on a workspace of their own. The sample models are built for real, by every path that works here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.driver import CHROMIUM, start_server, start_worker, stop, visit
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.benchmark.measurement import Protocol
from core.intake.add_model import add_model
from core.jobs.job import Job, JobState
from core.jobs.queue import Queue
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.request.paths import paths_for
from core.storage.workspace import Workspace
from sample_models.make_models import sample

OUT = Path(__file__).parents[1] / "docs" / "screenshots"
WIDTH, HEIGHT = 1360, 900
MOST_HEIGHT = 1800
BUILD_SECONDS = 1800
SETTLE_MS = 2500


def build_everything(queue: Queue, models: Sequence[Model]) -> None:
    """Every path that works here in FP32, and ONNX Runtime in INT8; waits until all is done."""
    protocol = Protocol(min_seconds=1.0)
    for model in models:
        for path in paths_for(model):
            if path.available:
                queue.submit(BuildRequest(model=model.digest, path=path.id, protocol=protocol))
    first = models[0]
    try:
        queue.submit(
            BuildRequest(model=first.digest, path="savedmodel.onnx.onnxruntime", precision=Precision.INT8, protocol=protocol)
        )
    except EngineRoomError as error:
        print(error)
    deadline = time.monotonic() + BUILD_SECONDS
    while unfinished := [job for job in queue.jobs() if not job.state.finished]:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(unfinished)} builds did not end in time.")
        time.sleep(1)
    for job in queue.jobs():
        print(job.request.path, job.request.precision.value, job.state.value, job.error.message if job.error else "")


def pages(model: Model, jobs: Sequence[Job]) -> dict[str, str]:
    """The address of each page, by the name of its picture."""
    done = [job for job in jobs if job.state is JobState.DONE and job.request.model == model.digest]
    in_fp32 = [job for job in done if job.request.precision is Precision.FP32]
    fused = next((job for job in in_fp32 if "onnxruntime" in job.request.path), in_fp32[0])
    return {
        "home": "/",
        "models": "/model",
        "model": f"/model?model={model.digest}",
        "build": f"/build?model={model.digest}",
        "jobs": f"/jobs?job={fused.id}",
        "engine": f"/engine?build={fused.key}",
        "compare": f"/compare?model={model.digest}",
        "system": "/system",
    }


def take(browser: Browser, url: str, addresses: dict[str, str], wanted: Callable[[str], bool]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        context = browser.new_context(base_url=url, viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
        page = context.new_page()
        for name, address in addresses.items():
            if wanted(name):
                visit(page, address)
                page.wait_for_timeout(SETTLE_MS)
                fit(page)
                page.screenshot(path=OUT / f"{name}-{scheme}.png")
                print(f"{name}-{scheme}.png", flush=True)
        context.close()


def fit(page: Page) -> None:
    """Makes the window as tall as what it shows, to a limit; Streamlit scrolls within the window."""
    tall = "document.querySelector('[data-testid=stMainBlockContainer]').getBoundingClientRect().height"
    height = min(MOST_HEIGHT, max(HEIGHT, int(page.evaluate(tall)) + 20))
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_timeout(SETTLE_MS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", help="which ones; all by default")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="engine-room-pictures-", ignore_cleanup_errors=True) as folder,
        sync_playwright() as play,
    ):
        workspace = Workspace(Path(folder))
        models = [add_model(sample(name), workspace) for name in ("digits", "two_signatures")]
        log = workspace.root / "pictures.log"
        worker = start_worker(workspace, log)
        server, url = start_server(workspace, log)
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            queue = Queue(workspace)
            build_everything(queue, models)
            take(browser, url, pages(models[0], queue.jobs()), lambda name: not arguments.pages or name in arguments.pages)
            queue.close()
        finally:
            browser.close()
            stop(server)
            stop(worker)


if __name__ == "__main__":
    main()
