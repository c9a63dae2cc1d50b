"""What is counted, and how it is told."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much is tried.

    Attributes:
        kills: Of processes, in the group `kills`.
        tries: Of each fault in the other groups.
        outage_seconds: How long a database or a store is gone.
        seed: Of all that is random.
        minutes: After so many no further process is killed, and what was counted is told.
    """

    kills: int
    tries: int
    outage_seconds: float
    seed: int
    minutes: float = 1e9


@dataclass(slots=True)
class Tally:
    """Tries of one fault.

    Attributes:
        seconds: Until what had to be told was told, or what had to be gone was gone.
        notes: Worth a line below the row.
    """

    name: str
    tries: int = 0
    broke: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def hold(self, held: bool, told: str, seconds: float | None = None) -> bool:
        """One more try; `told` says what broke if it did not hold."""
        self.tries += 1
        if not held:
            self.broke.append(told)
        if seconds is not None:
            self.seconds.append(seconds)
        return held


Tell = Callable[[Tally], None]


def spread(seconds: Sequence[float]) -> str:
    """The median and the most."""
    return f"{statistics.median(seconds):.1f} s, most {max(seconds):.1f} s" if seconds else ""


HEAD = f"{'group':<9} {'fault':<84} {'tries':>6}  {'':<9} told or gone after"


def row(group: str, tally: Tally) -> str:
    """A line of the table; what broke stands below it."""
    verdict = f"BROKE {len(tally.broke)}" if tally.broke else "held"
    lines = [f"{group:<9} {tally.name:<84} {tally.tries:>6,}  {verdict:<9} {spread(tally.seconds)}".rstrip()]
    lines += [f"{'':<10}- {note}" for note in tally.notes]
    return "\n".join([*lines, *(f"{'':<10}! {told[:600]}" for told in tally.broke[:8])])
