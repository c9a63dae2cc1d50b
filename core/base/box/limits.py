"""How much a boxed process may use, by what the host has and by settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from core.base.box.box import GIGABYTE
from core.base.errors import InvalidRequest

DISK_VARIABLE = "ENGINEROOM_STAGE_DISK_GB"
DISK_GB = 50.0
LEFT_FREE_BYTES = GIGABYTE  # logs and records are written yet
LEAST_BYTES = 250_000_000


def disk_bytes(folder: Path) -> int:
    """What one process may write: ENGINEROOM_STAGE_DISK_GB, and no more than is free.

    Raises:
        InvalidRequest: The variable is no number above 0.
    """
    told = os.environ.get(DISK_VARIABLE) or str(DISK_GB)
    try:
        most = float(told)
    except ValueError:
        most = 0.0
    if not 0 < most < float("inf"):
        raise InvalidRequest(f"{DISK_VARIABLE} is {told!r}.", hint="Give the gigabytes that a stage may write, such as 50.")
    free = shutil.disk_usage(folder).free - LEFT_FREE_BYTES
    return int(max(min(most * GIGABYTE, free), LEAST_BYTES))


def memory_bytes() -> int:
    """Of this host."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
