"""The workers beside the dashboard: one for this machine's processors and one for each of its NVIDIA GPUs."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Sequence

from core.base.errors import EngineRoomError
from core.jobs.local import ensure_local_worker
from core.storage.workspace import Workspace

log = logging.getLogger(__name__)


def local_devices() -> list[str]:
    """`cpu`, and `cuda:0`, `cuda:1` for each GPU that the driver lists."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ["cpu"]
    gpus = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return ["cpu", *(f"cuda:{index}" for index in range(len(gpus)))]


def start_workers(workspace: Workspace, devices: Sequence[str]) -> threading.Thread:
    """Starts what does not run yet, while the server starts too; pages show who is there.

    Workers live on when the dashboard ends, so that a restart of it disturbs no build.
    """

    def start() -> None:
        for device in devices or local_devices():
            try:
                started = ensure_local_worker(workspace, device=device)
                log.info("A worker for %s %s.", device, "has been started" if started else "is running already")
            except EngineRoomError as error:
                log.error("No worker for %s: %s", device, error)

    thread = threading.Thread(target=start, name="start workers", daemon=True)
    thread.start()
    return thread
