"""Looks at a child while it is listened to, and ends it when it takes too long or writes too much."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from core.base.children.crowd import MOST_PROCESSES, Crowd
from core.base.children.events import Ending, EndingKind

LOG_BYTES = 64_000_000  # that one child may print; verbose builders print a tenth of it
LOOK_SECONDS = 0.1
MEASURE_SECONDS = 1.0  # between two looks through a folder
MOST_FILES = 200_000
MOST_DEEP = 100  # folders in folders: a path that is too long for the kernel cannot be looked through


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may take; None for no limit.

    Attributes:
        log_bytes: That it may print.
        folder: What `folder_bytes`, `free_bytes` and MOST_FILES are about.
        free_bytes: That must be left on its disk: files that were deleted while they are open are seen there alone.
    """

    seconds: float | None = None
    log_bytes: int = LOG_BYTES
    folder: Path | None = None
    folder_bytes: int | None = None
    free_bytes: int | None = None


class Watch:
    """Calls `end` once when a limit is passed; `ending` then says which.

    Args:
        log: Where the child prints; what is there already does not count.
        crowd: Of its process group; None where another counts.
    """

    def __init__(self, limits: Limits, log: IO[bytes], end: Callable[[], None], crowd: Crowd | None = None) -> None:
        self.ending: Ending | None = None
        self._limits, self._log, self._end, self._crowd = limits, log.fileno(), end, crowd
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
            elif self._crowd and self._crowd.is_too_large:
                self.ending = Ending.beyond_processes(MOST_PROCESSES)
            elif now - measured > MEASURE_SECONDS:
                self.ending, measured = self._beyond_folder(), now
            self.ending = self.ending or self._beyond_log()
            if self.ending:
                self._end()
                return

    def _beyond_log(self) -> Ending | None:
        told = os.fstat(self._log)
        printed = max(told.st_size, told.st_blocks * 512) - self._printed_before  # space can be taken without a length
        return Ending.beyond("to its log", self._limits.log_bytes) if printed > self._limits.log_bytes else None

    def _beyond_folder(self) -> Ending | None:
        limits = self._limits
        if limits.folder is None or limits.folder_bytes is None:
            return None
        if limits.free_bytes is not None and (free := _free_bytes(limits.folder)) < limits.free_bytes:
            return Ending(kind=EndingKind.OUTPUT, words=f"was ended when its disk had {free / 1e6:,.0f} MB left")
        try:
            size, files = _size_of(limits.folder, limits.folder_bytes)
        except _Hidden as hidden:
            return Ending(kind=EndingKind.OUTPUT, words=f"was ended when it had made {hidden}")
        if files > MOST_FILES:
            return Ending.beyond_files(MOST_FILES)
        return Ending.beyond("in files", limits.folder_bytes) if size > limits.folder_bytes else None


class _Hidden(Exception):
    """Something that cannot be looked through."""


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62


def _size_of(folder: Path, most_bytes: int) -> tuple[int, int]:
    """Bytes on the disk and number of files below a folder, as far as the limits; a sparse file takes what it takes.

    Raises:
        _Hidden: A folder there cannot be looked through.
    """
    size = files = 0
    left = [(str(folder), 0)]
    while left and size <= most_bytes and files <= MOST_FILES:
        parent, depth = left.pop()
        if depth > MOST_DEEP:
            raise _Hidden(f"folders more than {MOST_DEEP} deep")
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    files += 1
                    with suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            left.append((entry.path, depth + 1))
                        else:
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
        except PermissionError:
            raise _Hidden("a folder that nobody may look into") from None
        except OSError:
            continue  # deleted meanwhile
    return size, files
