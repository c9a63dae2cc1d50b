"""Ends the children that a thread listens to, from another thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Killable(Protocol):
    """A process, or a group of them."""

    def kill(self) -> None: ...


class Stop:
    """Ends, once and for all, every child that is started under it; see `stopped_by`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Killable] = []
        self.ended = False

    def end(self) -> None:
        with self._lock:
            self.ended = True
            for process in self._running:
                process.kill()

    def _add(self, process: Killable) -> None:
        with self._lock:
            self._running.append(process)
            if self.ended:
                process.kill()

    def _remove(self, process: Killable) -> None:
        with self._lock:
            self._running.remove(process)


_current: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def stopped_by(stop: Stop) -> Iterator[None]:
    """Children that this thread calls meanwhile end when the stop is given, and so does what they have started."""
    token = _current.set(stop)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def stoppable(process: Killable) -> Iterator[None]:
    """While a child is listened to."""
    stop = _current.get()
    if stop is None:
        yield
        return
    stop._add(process)
    try:
        yield
    finally:
        stop._remove(process)
