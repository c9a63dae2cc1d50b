"""The local worker: started once for a workspace, by whoever needs it first, and found again by everyone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from core.base.errors import StageCrashed, StoreFailed
from core.base.files import WORKSPACE_VARIABLE
from core.jobs.code import code_stamp
from core.jobs.device import parse_device, try_lock
from core.jobs.job import RETIRE_SIGNAL, Worker
from core.jobs.start import worker_lock_file
from core.storage.workspace import Workspace

START_SECONDS = 60.0

_started: list[subprocess.Popen[bytes]] = []


def ensure_local_worker(workspace: Workspace, *, device: str = "cpu") -> bool:
    """Starts a worker for this device on this host unless one runs; whether it was started now.

    Several processes may ask at once: one of them starts it. It lives on when they end. Its own output goes to `worker_log`.

    Raises:
        StageCrashed: It did not start.
        StoreFailed: The workspace cannot be written.
    """
    lock_file = worker_lock_file(workspace, parse_device(device))
    environment = {**os.environ, WORKSPACE_VARIABLE: str(workspace.root)}
    let_go_of_ended()
    deadline = time.monotonic() + START_SECONDS
    try:
        while (turn := try_lock(lock_file.with_suffix(".start"))) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            if is_running(lock_file):
                return False
            _start(device, environment, worker_log(workspace, device), lock_file, deadline)
        finally:
            if turn is not None:
                os.close(turn)
    except OSError as error:
        raise StoreFailed(f"The worker could not be started: {error.strerror}.", hint="Check the workspace's rights.") from error
    return True


def let_go_of_ended() -> int:
    """Those of this process's own workers that have ended leave no zombies; how many go on."""
    _started[:] = [process for process in _started if process.poll() is None]
    return len(_started)


def _start(device: str, environment: dict[str, str], log_file: Path, lock_file: Path, deadline: float) -> None:
    with log_file.open("ab") as log:
        command = [sys.executable, "-m", "core.cli", "worker", "--device", device]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    _started.append(process)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            tail = log_file.read_text(errors="replace")[-2000:]
            raise StageCrashed("The local worker ended at once.", hint=f"See {log_file}.", detail=tail)
        if is_running(lock_file):
            return
        time.sleep(0.1)
    raise StageCrashed(f"The local worker did not start in {START_SECONDS:g} s.", hint=f"See {log_file}.")


def retire_outdated(workers: Sequence[Worker]) -> list[Worker]:
    """Tells this host's workers that run other code than this process to end when their job is done; those it told.

    A worker outlives the dashboard that started it, and with it an update of the program.
    """
    told = [one for one in workers if one.alive and is_outdated(one)]
    for worker in told:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(worker.card.pid, RETIRE_SIGNAL)
    return told


def is_outdated(worker: Worker) -> bool:
    """Whether it is on this host and runs other code; one of a release that did not tell is not asked."""
    code = worker.card.versions.get("code")
    return worker.card.host == socket.gethostname() and code is not None and code != code_stamp()


def worker_log(workspace: Workspace, device: str = "cpu") -> Path:
    return worker_lock_file(workspace, parse_device(device)).with_suffix(".log")


def is_running(lock_file: Path) -> bool:
    """Whether somebody holds the worker's lock."""
    if (lock := try_lock(lock_file)) is None:
        return True
    os.close(lock)
    return False
