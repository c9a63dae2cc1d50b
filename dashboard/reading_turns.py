"""Whose turn it is to be read: so many at once, in the order of coming, and one that takes long lets others past."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 15.0  # most uploads are read in less; a file that is made to hold readers up is not
MOST_LATE = 4  # readings that went on for longer and do not count; beyond these they hold others up
LOOK_SECONDS = 0.2


class Turns:
    """Turns to read.

    Args:
        most: That are read at once, beside those that take long.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._began: dict[object, float] = {}
        self._waiting: list[object] = []

    @contextmanager
    def one(self, look: Callable[[str], None]) -> Iterator[None]:
        """Holds a turn, once there is one.

        Args:
            look: Called now and then while it is waited for, with what is waited for; what it raises ends the waiting.
        """
        ticket = object()
        with self._lock:
            self._waiting.append(ticket)
        try:
            while not self._taken(ticket):
                look(self._words(ticket))
                time.sleep(LOOK_SECONDS)
            yield
        finally:
            with self._lock:
                self._began.pop(ticket, None)
                if ticket in self._waiting:
                    self._waiting.remove(ticket)

    def _taken(self, ticket: object) -> bool:
        now = time.monotonic()
        with self._lock:
            late = sum(now - began > PATIENCE_SECONDS for began in self._began.values())
            if self._waiting[0] is not ticket or len(self._began) - min(late, MOST_LATE) >= self._most:
                return False
            self._waiting.remove(ticket)
            self._began[ticket] = now
            return True

    def _words(self, ticket: object) -> str:
        with self._lock:
            before, running = self._waiting.index(ticket), len(self._began)
        ahead = f", {before} {'upload' if before == 1 else 'uploads'} before it" if before else ""
        return f"Waiting for a reader: {running} {'is' if running == 1 else 'are'} at work{ahead}"
