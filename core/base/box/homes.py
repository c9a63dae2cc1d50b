"""Temporary homes of boxes: each is held by a lock while it is in use, and those that nobody holds are cleared away."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.base.files import clear_away

_PREFIX = "engineroom-home-"
_FRESH_SECONDS = 60.0  # between a home's making and its lock


@contextmanager
def passing_home(purpose: str, beside: Path | None = None) -> Iterator[Path]:
    """A folder that is gone at the end.

    Args:
        beside: The folder to make it in, where what is made there is to stay on that disk.
    """
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-", dir=beside))
    held = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        yield home
    finally:
        clear_away(home)
        os.close(held)


def sweep_homes(folder: Path | None = None) -> None:
    """Clears away those of processes that were killed; in the folder for temporary files, unless told another."""
    for home in (folder or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            told = home.lstat()
            if told.st_uid != os.getuid() or time.time() - told.st_mtime < _FRESH_SECONDS:
                continue
            held = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                clear_away(home)
            finally:
                os.close(held)
