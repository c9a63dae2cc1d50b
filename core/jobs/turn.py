"""A turn on a device for what is no job: a preflight, which would spoil what a build measures, and be slow beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.backends.base import backend_named
from core.base.availability import availability_of
from core.base.errors import Unavailable
from core.base.progress import Progress, Report
from core.jobs.device import exclusive, parse_device

WAIT_SECONDS = 300.0
WAITING = "Waiting for the device: a build is at it"


@contextmanager
def turn_of(backend: str, report: Report, seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Holds the device that this backend is asked on, once it is free.

    Raises:
        Unavailable: Builds had it for so long.
    """
    found = backend_named(backend)
    device = parse_device(next(iter(availability_of(found).builds_on), "cpu"))
    until = time.monotonic() + seconds

    def wait() -> None:
        if time.monotonic() > until:
            raise Unavailable(
                f"{found.title} was not asked: builds had the device {device} for {seconds:.0f} s.",
                hint="Ask again when fewer builds are queued (`engineroom jobs`).",
            )
        report(Progress(message=WAITING))

    with exclusive(device, wait):
        yield
