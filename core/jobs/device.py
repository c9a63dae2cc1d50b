"""A device, and the lock that keeps everyone else off it while a job runs."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.base.errors import InvalidRequest, StoreFailed
from core.benchmark.machine import compute_capability, gpu_name, processor
from core.jobs.processes import end_orphans
from core.storage.builds import Place

POLL_SECONDS = 0.05
SWEEP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Device:
    """One device of this host.

    Attributes:
        type: The jobs it takes: a request's `device` ("cpu", "cuda").
        index: Which of its type, 0 for the only one.
    """

    type: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.type}:{self.index}"

    @property
    def title(self) -> str:
        """As the machine calls it."""
        return gpu_name(str(self.index)) if self.type.startswith("cuda") else processor()

    @property
    def place(self) -> Place:
        """Where it is, for a build's record."""
        capability = compute_capability(str(self.index)) if self.type.startswith("cuda") else None
        return Place(host=socket.gethostname(), device=str(self), name=self.title, capability=capability)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a stage see this device alone."""
        if not self.type.startswith("cuda"):
            return {}
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(self.index)}

    @property
    def lock_file(self) -> Path:
        """One a device on this host, whatever workspace its users work in."""
        return lock_folder() / f"{self.type}-{self.index}.lock"


def parse_device(text: str) -> Device:
    """Reads `cpu`, `cuda` or `cuda:1`; `cuda` alone is the first GPU that CUDA_VISIBLE_DEVICES leaves.

    Raises:
        InvalidRequest: It is not of that form.
    """
    found = re.fullmatch(r"([a-z][a-z0-9-]*)(?::(\d+))?", text)
    if not found:
        raise InvalidRequest(f"Could not read the device {text!r}.", hint="Write cpu, cuda or cuda:1.")
    return Device(found[1], int(found[2] or _first_visible(found[1])))


def _first_visible(kind: str) -> int:
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    return int(first) if kind.startswith("cuda") and first.isdecimal() else 0


def lock_folder() -> Path:
    """This user's folder for locks on this host.

    Raises:
        StoreFailed: Somebody else owns it.
    """
    folder = _temporary() / f"engine-room-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise StoreFailed(f"{folder} belongs to another user.", hint="Set TMPDIR to a folder of your own.")
    except OSError as error:
        raise StoreFailed(f"Could not make {folder}: {error.strerror}.", hint="Set TMPDIR to a writable folder.") from error
    return folder


def _temporary() -> Path:
    """Where temporary files are to be. `tempfile` names another place while that is full: a lock there keeps nobody out."""
    return Path(next(filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP"))), "/tmp")).absolute()  # noqa: S108


def try_lock(path: Path) -> int | None:
    """An open file descriptor that holds the lock; None when it is taken. Free when its last copy is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _try(lock_file: Path) -> int | None:
    try:
        return try_lock(lock_file)
    except OSError as error:
        hint = "Free some space there, or set TMPDIR to a writable folder."
        raise StoreFailed(f"Could not make {lock_file}: {error.strerror}.", hint=hint) from error


@contextmanager
def exclusive(device: Device, keep_waiting: Callable[[], None]) -> Iterator[int]:
    """Holds the device; the file descriptor is for the guard to inherit.

    Args:
        keep_waiting: Called about 20 times a second while the device is taken; raises to stop waiting.

    Raises:
        StoreFailed: There is no room for its lock.
    """
    end_orphans()
    swept_at = time.monotonic()
    while (descriptor := _try(device.lock_file)) is None:
        keep_waiting()
        time.sleep(POLL_SECONDS)
        if time.monotonic() - swept_at > SWEEP_SECONDS:
            end_orphans()
            swept_at = time.monotonic()
    try:
        yield descriptor
    finally:
        os.close(descriptor)
