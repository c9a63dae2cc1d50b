"""Looks at a child while it is listened to, and ends it when it takes too long or writes too much."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from core.base.children.events import Ending

LOG_BYTES = 64_000_000  # that one child may print; verbose builders print a tenth of it
LOOK_SECONDS = 0.1
MEASURE_SECONDS = 1.0  # between two looks through a folder
MOST_FILES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may take; None for no limit.

    Attributes:
        log_bytes: That it may print.
        folder: What `folder_bytes` and MOST_FILES are about.
    """

    seconds: float | None = None
    log_bytes: int = LOG_BYTES
    folder: Path | None = None
    folder_bytes: int | None = None


class Watch:
    """Calls `end` once when a limit is passed; `ending` then says which.

    Args:
        log: Where the child prints; what is there already does not count.
    """

    def __init__(self, limits: Limits, log: IO[bytes], end: Callable[[], None]) -> None:
        self.ending: Ending | None = None
        self._limits, self._log, self._end = limits, log.fileno(), end
        self._printed_before = os.fstat(self._log).st_size
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="child-watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self.ending is None and kind is None:
            self.ending = self._beyond_folder() or self._beyond_log()  # at the last moment

    def _look(self) -> None:
        started = measured = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            now = time.monotonic()
            if self._limits.seconds is not None and now - started > self._limits.seconds:
                self.ending = Ending.at_time_limit(self._limits.seconds)
            elif now - measured > MEASURE_SECONDS:
                self.ending, measured = self._beyond_folder(), now
            self.ending = self.ending or self._beyond_log()
            if self.ending:
                self._end()
                return

    def _beyond_log(self) -> Ending | None:
        printed = os.fstat(self._log).st_size - self._printed_before
        return Ending.beyond("to its log", self._limits.log_bytes) if printed > self._limits.log_bytes else None

    def _beyond_folder(self) -> Ending | None:
        if self._limits.folder is None or self._limits.folder_bytes is None:
            return None
        size, files = _size_of(self._limits.folder, self._limits.folder_bytes)
        if files > MOST_FILES:
            return Ending.beyond_files(MOST_FILES)
        return Ending.beyond("in files", self._limits.folder_bytes) if size > self._limits.folder_bytes else None


def _size_of(folder: Path, most_bytes: int) -> tuple[int, int]:
    """Bytes on the disk and number of files below a folder, as far as the limits; a sparse file takes what it takes."""
    size = files = 0
    for parent, folders, names in os.walk(folder):
        files += len(names) + len(folders)
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(parent, name)).st_blocks * 512
        if size > most_bytes or files > MOST_FILES:
            break
    return size, files
