"""Uploads that are being read, or have been: they go on when the browser that sent them goes away, and end when forgotten."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

from core.base.children.stop import Stop, stopped_by
from core.base.errors import Cancelled, EngineRoomError, Failure, InvalidRequest, StoreFailed
from core.base.progress import Progress, Report
from dashboard.reading_turns import Turns

log = logging.getLogger(__name__)

REMEMBERED = 200
READERS_VARIABLE = "ENGINEROOM_READERS"
DEFAULT_READERS = 2  # large models at once would need the memory of all
END_SECONDS = 10.0


class ReadingState(str, Enum):
    READING = "reading"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far one upload's reading is."""

    state: ReadingState = ReadingState.READING
    message: str = "Waiting for its turn to be read"
    fraction: float | None = None
    digest: str | None = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """What ends a reading, and the thread that it happens in."""

    stop: Stop
    thread: threading.Thread


_readings: dict[str, Reading] = {}
_works: dict[str, _Work] = {}
_lock = threading.Lock()


def check_readers() -> int:
    """How many uploads are read at once, as it is set.

    Raises:
        InvalidRequest: ENGINEROOM_READERS is no such number.
    """
    text = os.environ.get(READERS_VARIABLE) or str(DEFAULT_READERS)
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= 64 and len(text) <= 2):
        raise InvalidRequest(f"{READERS_VARIABLE} is {text!r}.", hint="Give a number from 1 to 64.")
    return int(text)


@lru_cache(maxsize=1)
def _turns() -> Turns:
    return Turns(check_readers())


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
        take: Reads and stores it; returns the digest. Children that it calls are ended with the reading.
        on_done: Called when it is stored, before that is told.
    """
    stop = Stop()
    thread = threading.Thread(target=_read, args=(upload_id, take, on_done, stop), name=f"read {upload_id[:8]}", daemon=True)
    with _lock:
        known = _readings.get(upload_id)
        if known and known.state is not ReadingState.FAILED:
            return known
        _readings[upload_id] = reading = Reading()
        _works[upload_id] = _Work(stop, thread)
        for old in list(_readings)[:-REMEMBERED]:
            if _readings[old].state is not ReadingState.READING:
                del _readings[old]
        thread.start()
    return reading


def _read(upload_id: str, take: Callable[[Report], str], on_done: Callable[[], None], stop: Stop) -> None:
    def tell(step: Progress) -> None:
        if stop.ended:
            raise Cancelled("The upload was cancelled.")
        _put(upload_id, stop, message=step.message, fraction=step.fraction)

    def wait(words: str) -> None:
        tell(Progress(message=words))

    try:
        with _turns().one(wait), stopped_by(stop):
            tell(Progress(message="Reading it"))
            digest = take(tell)
        on_done()
    except EngineRoomError as error:
        _put(upload_id, stop, state=ReadingState.FAILED, error=Failure.of(error))
    except OSError as error:
        problem: EngineRoomError = StoreFailed(f"The upload could not be read: {error.strerror}.", hint="Try again.")
        _put(upload_id, stop, state=ReadingState.FAILED, error=Failure.of(problem))
    except Exception as error:
        log.error("Reading an upload failed", exc_info=error)
        problem = EngineRoomError(f"The upload could not be read: {type(error).__name__}.", hint="See the server's log.")
        _put(upload_id, stop, state=ReadingState.FAILED, error=Failure.of(problem))
    else:
        _put(upload_id, stop, state=ReadingState.DONE, digest=digest, fraction=1.0)
    finally:
        with _lock:
            if (work := _works.get(upload_id)) and work.stop is stop:
                del _works[upload_id]


def forget_reading(upload_id: str) -> None:
    """Ends an upload's reading, its processes with it; returns when they are gone."""
    with _lock:
        _readings.pop(upload_id, None)
        work = _works.get(upload_id)
    if work:
        work.stop.end()
        work.thread.join(END_SECONDS)


def stop_readings() -> None:
    """Ends all of them: the server stops."""
    with _lock:
        works = list(_works.values())
    for work in works:
        work.stop.end()
    deadline = time.monotonic() + END_SECONDS
    for work in works:
        work.thread.join(max(0.0, deadline - time.monotonic()))


def _put(upload_id: str, stop: Stop, **changes: object) -> None:
    with _lock:
        if upload_id in _readings and not stop.ended:
            _readings[upload_id] = replace(_readings[upload_id], **changes)  # type: ignore[arg-type]
