"""How long-running steps tell where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report: what is being done, and how much of it is done (0 to 1, None when nobody can tell)."""

    message: str
    fraction: float | None = None


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A `Report` for callers who do not look."""
