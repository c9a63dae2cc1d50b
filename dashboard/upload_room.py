"""How much an upload may bring now, asked before it starts."""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from pathlib import Path

from core.base.errors import StoreFailed
from core.base.files import folder_bytes
from core.base.units import size
from core.storage.housekeeping import usage
from core.storage.quota import Room, quotas, room
from core.storage.workspace import Workspace
from dashboard.upload_folder import MANIFEST, UploadFolder, upload_folders

MEASURED_SECONDS = 30.0  # for so long the workspace's size is believed

_measured: dict[Path, tuple[float, int]] = {}
_lock = threading.Lock()


def room_in(workspace: Workspace) -> Room:
    """By the quotas and the disk.

    Raises:
        InvalidRequest: A quota is set to what is none.
    """
    workspace.root.mkdir(parents=True, exist_ok=True)
    promised = missing = 0
    for folder in upload_folders(workspace):
        whole = _promised_bytes(folder.path)
        promised += whole
        missing += max(0, whole - folder_bytes(folder.path)) if whole else 0
    used = _used_bytes(workspace) if quotas().workspace is not None else 0
    return room(workspace.root, used_bytes=used, promised_bytes=promised, missing_bytes=missing)


def room_text(workspace: Workspace) -> str | None:
    """What users are told before they choose files; None where only the disk is the limit."""
    if quotas().workspace is None and quotas().uploads is None:
        return None
    return f"Up to {size(room_in(workspace).size_bytes)} now."


def _promised_bytes(path: Path) -> int:
    """What an upload was said to hold; 0 for one that is done, or just being made or deleted."""
    try:
        return _said_bytes(path, (path / MANIFEST).stat().st_mtime_ns)
    except (StoreFailed, OSError):
        return 0


@lru_cache(maxsize=4096)
def _said_bytes(path: Path, stamp: int) -> int:
    return sum(file.size for file in UploadFolder(path).manifest.files)


def _used_bytes(workspace: Workspace) -> int:
    with _lock:
        when, known = _measured.get(workspace.root, (0.0, 0))
        if not when or time.monotonic() - when > MEASURED_SECONDS:
            when, known = time.monotonic(), usage(workspace).total
            _measured[workspace.root] = when, known
        return known
