"""How long-running steps tell where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from core.base.errors import plain_text

MOST_LETTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report: what is being done, and how much of it is done (0 to 1, None when nobody can tell)."""

    message: str
    fraction: float | None = None

    def shown(self) -> Progress:
        """As it can be stored and shown, whoever told it."""
        known = self.fraction is not None and isfinite(self.fraction)
        fraction = min(1.0, max(0.0, self.fraction)) if self.fraction is not None and known else None
        return Progress(message=plain_text(self.message, MOST_LETTERS), fraction=fraction)


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A `Report` for callers who do not look."""
