"""Uploads that are being read, or have been: they go on when the browser that sent them goes away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from core.base.errors import EngineRoomError, Failure, StoreFailed
from core.base.progress import Progress, Report

REMEMBERED = 200


class ReadingState(str, Enum):
    READING = "reading"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far one upload's reading is."""

    state: ReadingState = ReadingState.READING
    message: str = "Reading it"
    fraction: float | None = None
    digest: str | None = None
    error: Failure | None = None


_readings: dict[str, Reading] = {}
_lock = threading.Lock()
_READERS = threading.Semaphore(2)  # large models at once would need the memory of both


def reading_of(upload_id: str) -> Reading | None:
    return _readings.get(upload_id)


def begin_reading(
    upload_id: str,
    take: Callable[[Report], str],
    *,
    on_done: Callable[[], None],
) -> Reading:
    """Starts to read an upload in the background, or finds it being read.

    Args:
        take: Reads and stores it; returns the digest.
        on_done: Called when it is stored, before that is told.
    """
    with _lock:
        known = _readings.get(upload_id)
        if known and known.state is not ReadingState.FAILED:
            return known
        _readings[upload_id] = reading = Reading()
        for old in list(_readings)[:-REMEMBERED]:
            if _readings[old].state is not ReadingState.READING:
                del _readings[old]

    def tell(step: Progress) -> None:
        _put(upload_id, message=step.message, fraction=step.fraction)

    def read() -> None:
        try:
            with _READERS:
                digest = take(tell)
        except EngineRoomError as error:
            _put(upload_id, state=ReadingState.FAILED, error=Failure.of(error))
        except OSError as error:
            problem = StoreFailed(f"The upload could not be read: {error.strerror}.", hint="Try again.")
            _put(upload_id, state=ReadingState.FAILED, error=Failure.of(problem))
        else:
            on_done()
            _put(upload_id, state=ReadingState.DONE, digest=digest, fraction=1.0)

    threading.Thread(target=read, name=f"read {upload_id[:8]}", daemon=True).start()
    return reading


def forget_reading(upload_id: str) -> None:
    with _lock:
        _readings.pop(upload_id, None)


def _put(upload_id: str, **changes: object) -> None:
    with _lock:
        if upload_id in _readings:
            _readings[upload_id] = replace(_readings[upload_id], **changes)  # type: ignore[arg-type]
