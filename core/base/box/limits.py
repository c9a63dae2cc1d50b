"""How much a boxed process may use, by what the host has and by settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.base.box.box import GIGABYTE, Box
from core.base.box.homes import passing_home
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


def limited_box(home: Path, reads: Iterable[Path], *, memory_bytes: int | None = None, gpu: bool = False) -> Box:
    """A box that may write to `home` what `disk_bytes` allows, and raises what that does."""
    most = disk_bytes(home.parent)
    return Box(
        home=home.absolute(),
        reads=tuple(path.absolute() for path in reads),
        gpu=gpu,
        memory_bytes=memory_bytes,
        file_bytes=most,
        home_bytes=most,
        free_bytes=max(0, min(LEFT_FREE_BYTES, shutil.disk_usage(home.parent).free - LEAST_BYTES)) // 2,
    )


@contextmanager
def passing_box(
    purpose: str, reads: Iterable[Path], *, memory_bytes: int | None = None, beside: Path | None = None
) -> Iterator[Box]:
    """The same at a temporary home, which is gone at the end.

    Args:
        beside: The folder to make it in, where what is made there is to stay on that disk.
    """
    with passing_home(purpose, beside) as home:
        yield limited_box(home, reads, memory_bytes=memory_bytes)


def memory_bytes() -> int:
    """Of this host."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
