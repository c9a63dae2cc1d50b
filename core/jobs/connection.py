"""A queue's connection to its database, opened anew when the database was replaced under it."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from core.jobs.database import identity, open_client, prepare
from core.jobs.heartbeats import Heartbeats


class Connection:
    """Safe to share between threads; whatever opens it may raise StoreFailed.

    Args:
        own: See `prepare`.
    """

    def __init__(self, url: str, *, own: bool = False) -> None:
        self._url, self._own = url, own
        self._lock = threading.Lock()
        self._open()

    @property
    def client(self) -> Any:
        """The job engine's client."""
        self._follow()
        return self._client

    @property
    def beats(self) -> Heartbeats:
        self._follow()
        return self._beats

    def close(self) -> None:
        self._client.destroy()
        self._beats.close()

    def _open(self) -> None:
        prepare(self._url, own=self._own)
        self._client, self._beats = open_client(self._url), Heartbeats(self._url)
        self._identity = identity(self._url)

    def _follow(self) -> None:
        """A SQLite file that was deleted goes on for those who have it open, and nobody else sees what they do."""
        with self._lock:
            if identity(self._url) != self._identity:
                with suppress(Exception):  # of a file that is gone
                    self.close()
                self._open()
