"""What an attack is, and what is said of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Tries:
    """Counts what was tried, and keeps what broke."""

    count: int = 0
    broke: list[str] = field(default_factory=list)

    def hold(self, held: bool, told: str) -> None:
        """One more try; `told` says what broke if it did not hold."""
        self.count += 1
        if not held:
            self.broke.append(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack(Generic[T]):
    """Something that is tried on an instance.

    Attributes:
        name: What an attacker would reach, in a few words.
        run: Tries it; what it raises counts as broken.
    """

    name: str
    run: Callable[[T, Tries], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    group: str
    name: str
    tries: int
    seconds: float
    broke: tuple[str, ...]


def tried(group: str, attacks: Iterable[Attack[T]], instance: T) -> list[Outcome]:
    """Runs the attacks of a group one after the other."""
    outcomes = []
    for attack in attacks:
        tries, started = Tries(), time.monotonic()
        try:
            attack.run(instance, tries)
        except Exception as error:
            tries.hold(False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        seconds = time.monotonic() - started
        outcomes.append(Outcome(group=group, name=attack.name, tries=tries.count, seconds=seconds, broke=tuple(tries.broke)))
        print(row(outcomes[-1]), flush=True)
    return outcomes


def row(outcome: Outcome) -> str:
    """A line of the table; what broke stands below it."""
    verdict = "held" if not outcome.broke else f"BROKE {len(outcome.broke)}"
    lines = [f"{outcome.group:<12} {outcome.name:<68} {outcome.tries:>7,}  {verdict:<10} {outcome.seconds:>7.1f} s"]
    return "\n".join([*lines, *(f"{'':<13}! {told[:400]}" for told in outcome.broke[:5])])
