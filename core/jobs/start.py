"""How a worker is set up, and how a process becomes one."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from core.base.errors import InvalidRequest
from core.base.serialization import to_data
from core.jobs.device import Device, try_lock
from core.jobs.supervisor import StageLimits
from core.storage.workspace import Workspace

OPTIONS_VARIABLE = "ENGINEROOM_WORKER_OPTIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker is set up.

    Attributes:
        toolchains: Names and interpreters besides the worker's own; one named "default" takes its place.
        lease_seconds: Without the database's word for so long, a worker ends its build; after twice that, its jobs
            go to others. Must be the same for all workers of a database.
    """

    workspace: Workspace
    device: Device
    limits: StageLimits
    database: str | None = None
    store: str | None = None
    toolchains: Sequence[tuple[str, str]] = ()
    lease_seconds: float = 10.0


class WorkerIsRunning(InvalidRequest):
    """A worker for this device and workspace runs on this host already."""


def become_worker(options: WorkerOptions) -> NoReturn:
    """Replaces this process by a worker's. Options go through the environment, for an address may hold a password."""
    with suppress(OSError):  # a full disk takes no last words
        sys.stdout.flush()
        sys.stderr.flush()
    environment = {**os.environ, OPTIONS_VARIABLE: json.dumps(to_data(options))}
    os.execve(sys.executable, [sys.executable, "-m", "core.jobs"], environment)  # noqa: S606


def worker_lock_file(workspace: Workspace, device: Device) -> Path:
    return workspace.root / "workers" / f"{socket.gethostname()}-{device.type}-{device.index}.lock"


def hold_for_life(lock_file: Path, device: Device) -> None:
    """Takes the worker's lock for the life of this process; somebody may hold it for an instant, to see whether it is free."""
    for _ in range(10):
        if try_lock(lock_file) is not None:
            return
        time.sleep(0.05)
    raise WorkerIsRunning(f"A worker for {device} is running here already.", hint="`engineroom workers` lists it.")
