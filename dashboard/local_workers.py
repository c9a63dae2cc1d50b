"""The workers beside the dashboard: one for this machine's processors and one for each of its NVIDIA GPUs."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Sequence

from core.base.errors import EngineRoomError
from core.jobs.local import ensure_local_worker, retire_outdated
from core.jobs.queue import Queue
from core.storage.workspace import Workspace

log = logging.getLogger(__name__)
LOOK_SECONDS = 10.0
SHORT_LIFE_SECONDS = 60.0
MOST_PAUSE_SECONDS = 600.0


def local_devices() -> list[str]:
    """`cpu`, and `cuda:0`, `cuda:1` for each GPU that the driver lists."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ["cpu"]
    gpus = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return ["cpu", *(f"cuda:{index}" for index in range(len(gpus)))]


class _Keeper:
    """Keeps a worker for one device: starts one when none runs, with longer pauses after those that did not live long."""

    def __init__(self, workspace: Workspace, device: str) -> None:
        self._workspace, self._device = workspace, device
        self._pause = 0.0
        self._started_at: float | None = None
        self._not_before = 0.0

    def look(self) -> None:
        if time.monotonic() < self._not_before:
            return
        try:
            if ensure_local_worker(self._workspace, device=self._device):
                again = " again, as the last one is gone" if self._started_at is not None else ""
                log.info("A worker for %s has been started%s.", self._device, again)
                self._started(failed=False)
            elif self._started_at is None:
                log.info("A worker for %s is running already.", self._device)
                self._started_at = time.monotonic()
        except EngineRoomError as error:
            log.error("No worker for %s: %s", self._device, error)
            self._started(failed=True)

    def _started(self, *, failed: bool) -> None:
        now = time.monotonic()
        short = failed or (self._started_at is not None and now - self._started_at < SHORT_LIFE_SECONDS + self._pause)
        self._pause = min(MOST_PAUSE_SECONDS, max(LOOK_SECONDS, 2 * self._pause)) if short else 0.0
        self._started_at, self._not_before = now, now + self._pause


def start_workers(workspace: Workspace, devices: Sequence[str], over: threading.Event | None = None) -> threading.Thread:
    """Starts what does not run yet, while the server starts too, and again what ends; pages show who is there.

    Workers live on when the dashboard ends, so that a restart of it disturbs no build. One that runs other code than this is
    replaced when its job is done.

    Args:
        over: Ends the looking when it is set.
    """
    ending = over or threading.Event()

    def keep() -> None:
        _replace_outdated(workspace)
        keepers = [_Keeper(workspace, device) for device in devices or local_devices()]
        for keeper in keepers:
            keeper.look()
        while not ending.wait(LOOK_SECONDS):
            for keeper in keepers:
                keeper.look()

    thread = threading.Thread(target=keep, name="keep workers", daemon=True)
    thread.start()
    return thread


def _replace_outdated(workspace: Workspace) -> None:
    try:
        queue = Queue(workspace)
        for worker in retire_outdated(queue.workers()):
            log.info("Worker %s is of another version of the program: it ends after its job.", worker.card.id)
        queue.close()
    except EngineRoomError as error:
        log.error("The workers could not be asked for their version: %s", error)
