"""The local worker: started once for a workspace, by whoever needs it first, and found again by everyone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from core.errors import StageCrashed, StoreFailed
from core.jobs.database import DATABASE_VARIABLE
from core.jobs.device import parse_device, try_lock
from core.jobs.worker import worker_lock_file
from core.workspace import ENVIRONMENT_VARIABLE, STORE_VARIABLE, Workspace

START_SECONDS = 60.0


def ensure_local_worker(
    workspace: Workspace, *, device: str = "cpu", database: str | None = None, store: str | None = None
) -> bool:
    """Starts a worker for this device on this host unless one runs; whether it was started now.

    It lives on when this process ends. Its own output goes to `worker_log`.

    Raises:
        StageCrashed: It ended at once.
        StoreFailed: The workspace cannot be written.
    """
    lock_file = worker_lock_file(workspace, parse_device(device))
    log_file = worker_log(workspace, device)
    environment = {**os.environ, ENVIRONMENT_VARIABLE: str(workspace.root)}
    environment.update({DATABASE_VARIABLE: database} if database else {})
    environment.update({STORE_VARIABLE: store} if store else {})
    try:
        if is_running(lock_file):
            return False
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.cli", "worker", "--device", device],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        raise StoreFailed(f"The worker could not be started: {error.strerror}.", hint="Check the workspace's rights.") from error
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not is_running(lock_file):
        if process.poll() is not None:
            if is_running(lock_file):
                return False  # somebody else's was faster
            tail = log_file.read_text(errors="replace")[-2000:]
            raise StageCrashed("The local worker ended at once.", hint=f"See {log_file}.", detail=tail)
        time.sleep(0.05)
    return True


def worker_log(workspace: Workspace, device: str = "cpu") -> Path:
    return worker_lock_file(workspace, parse_device(device)).with_suffix(".log")


def is_running(lock_file: Path) -> bool:
    """Whether somebody holds the worker's lock."""
    if (lock := try_lock(lock_file)) is None:
        return True
    os.close(lock)
    return False
