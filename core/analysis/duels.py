"""What head-to-heads tell: a row for each engine, held against one of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from core.base.units import plural, seconds
from core.benchmark.sequential import FEWEST, is_narrow
from core.benchmark.statistics import MedianRatio, Winner
from core.benchmark.weakness import weaknesses_in
from core.storage.builds import State
from core.storage.duels import Duel

RULE_TEXT = (
    "Head to head: engines took turns in short blocks, each in a process of its own, with fresh processes several times; "
    "each pair is called wrongly different in at most 5 %."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuelRow:
    """One engine in a head-to-head.

    Attributes:
        median_ms: Of its starts' medians; None before the first.
        low_ms, high_ms: The fastest and the slowest start's.
        ratio: How many times faster it is than the one that it is held against; None for that one, and while nothing tells.
        verdict: In words.
    """

    key: str
    title: str
    median_ms: float | None
    low_ms: float | None
    high_ms: float | None
    ratio: MedianRatio | None
    verdict: str


def duel_rows(duel: Duel, against: str | None = None, titles: Mapping[str, str] | None = None) -> list[DuelRow]:
    """A row for each engine, the fastest first.

    Args:
        against: Key of the build that the others are held against; None for the first.
        titles: By key, where they are known by others than the head-to-head's own.
    """
    base = against if against in duel.keys else duel.keys[0]
    rows = []
    for one in duel.contestants:
        medians = [start.median_ms(one.key) for start in duel.starts]
        ratio = duel.ratio(one.key, base) if one.key != base else None
        rows.append(
            DuelRow(
                key=one.key,
                title=(titles or {}).get(one.key, one.title),
                median_ms=median(medians) if medians else None,
                low_ms=min(medians, default=None),
                high_ms=max(medians, default=None),
                ratio=ratio,
                verdict="held against" if one.key == base else ratio_text(ratio),
            )
        )
    return sorted(rows, key=lambda row: row.median_ms or math.inf)


def ratio_text(ratio: MedianRatio | None) -> str:
    """A pair of a head-to-head in words."""
    if ratio is None:
        return f"not told before {FEWEST} starts"
    if ratio.winner is Winner.A:
        return speed_text(ratio.ratio, ratio.low, ratio.high, "faster")
    if ratio.winner is Winner.B:
        return speed_text(1 / ratio.ratio, 1 / ratio.high, 1 / ratio.low, "slower")
    off = max(ratio.high, 1 / ratio.low) - 1
    if is_narrow(ratio):
        return f"as fast: the difference is below {100 * off:.1f} %"
    return f"no clear difference ({ratio.low:.2f} to {ratio.high:.2f} times as fast)"


def speed_text(ratio: float, low: float, high: float, word: str) -> str:
    """`2.10x faster (2.05 to 2.15)`; with digits enough that the interval shows on which side of 1 it lies."""
    digits = 3 if ratio < 1.1 else 2 if ratio < 2 else 1 if ratio < 10 else 0
    return f"{ratio:.{digits}f}x {word} ({low:.{digits}f} to {high:.{digits}f})"


def duel_text(duel: Duel) -> str:
    """How it went, in a sentence or two."""
    taken = f"{plural(len(duel.starts), 'start')}"
    where = f" on {duel.place.text}" if duel.place else ""
    if duel.state is State.FAILED and duel.error:
        return f"Failed after {taken}{where}: {duel.error.message}"
    if duel.state is State.CANCELLED:
        return f"Cancelled after {taken}{where}; begun again, it goes on from there."
    if duel.state is not State.DONE:
        return f"Going on: {taken} so far{where}."
    spent = f" in {seconds(duel.stage.seconds)}" if duel.stage.seconds is not None else ""
    told = f"{'Settled' if duel.settled else 'Not settled'} after {taken}{spent}{where}."
    return told if duel.settled else f"{told} No more starts or seconds were left, and not every interval is narrow."


def duel_conditions(duel: Duel) -> tuple[str, ...]:
    """What disturbed it, with how many of its starts; a GPU's clocks and temperatures, where they were told."""
    found = Counter(weakness for start in duel.starts for weakness in weaknesses_in(start.warnings))
    starts = plural(len(duel.starts), "start")
    told = [f"{weakness.value[0].upper()}{weakness.value[1:]} in {count} of {starts}." for weakness, count in found.items()]
    for name in ("GPU clock", "GPU temperature"):
        values = [start.conditions[name].split() for start in duel.starts if name in start.conditions]
        if values:  # "1980 to 1755 MHz", before and after each
            low, high = (pick(int(text) for first, _, last, _ in values for text in (first, last)) for pick in (min, max))
            told.append(f"The {name} was {low} to {high} {values[0][-1]}.")
    return tuple(told)


def duel_as_data(duel: Duel, against: str | None = None) -> dict[str, Any]:
    """For scripts: its rows, and all that it is from."""
    return {
        "key": duel.key,
        "state": duel.state.value,
        "settled": duel.settled,
        "text": duel_text(duel),
        "conditions": list(duel_conditions(duel)),
        "starts": len(duel.starts),
        "seconds": duel.stage.seconds,
        "device": duel.device,
        "place": duel.place,
        "rows": [
            {
                "key": row.key,
                "title": row.title,
                "median_ms": row.median_ms,
                "low_ms": row.low_ms,
                "high_ms": row.high_ms,
                "speedup": row.ratio.ratio if row.ratio else None,
                "speedup_low": row.ratio.low if row.ratio else None,
                "speedup_high": row.ratio.high if row.ratio else None,
                "verdict": row.verdict,
            }
            for row in duel_rows(duel, against)
        ],
        "error": duel.error,
    }
