"""Figures with their units, moments, names and shapes as text: the one place that says how they read.

What was never measured is said in words, what is not known is a dash; neither is a zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.base.tensors import TensorSpec

UNKNOWN = "–"
NOT_TOLD = "not told"  # by a runtime
NOT_MEASURED = "not measured"
DIGEST_LENGTH = 12


def size(count: int | None) -> str:
    """Bytes in decimal units, as file managers show them: `4.2 MB`."""
    if count is None:
        return UNKNOWN
    value, unit = _scaled(count, "B", "kB", "MB", "GB")
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def count(number: int | None) -> str:
    """A count in full: `1,234,567`."""
    return UNKNOWN if number is None else f"{number:,}"


def short_count(number: int | None) -> str:
    """A count in three digits: `25.6 M`."""
    if number is None:
        return UNKNOWN
    value, unit = _scaled(number, "", "k", "M", "G")
    return f"{value:.3g} {unit}" if unit else f"{number}"


def _scaled(number: int, *units: str) -> tuple[float, str]:
    """A number in the first unit that leaves less than 1,000 of it, or in the last; each is 1,000 of the one before."""
    power = next((power for power in range(len(units)) if number < 1000 ** (power + 1)), len(units) - 1)
    return number / 1000**power, units[power]


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def number(value: float | None, digits: int = 4) -> str:
    """Digits that mean something, for where the unit stands at the head of the column: `0.6194`, `12.30`, `1234`."""
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{digits - 1}e}")
    power = math.floor(math.log10(abs(rounded))) if rounded else 0
    return f"{value:.{max(0, digits - 1 - power)}f}"


def milliseconds(value: float | None, digits: int = 3) -> str:
    """A latency with three digits that mean something: `0.0123 ms`, `12.3 ms`, `1.23 s`."""
    if value is None:
        return NOT_MEASURED
    return f"{number(value / 1000, digits)} s" if value >= 1000 else f"{number(value, digits)} ms"


def interval(low_ms: float, high_ms: float) -> str:
    """From the one latency to the other, with a digit more than the figure between them: `0.6183 to 0.6201 ms`."""
    if high_ms >= 1000:
        return f"{number(low_ms / 1000)} to {number(high_ms / 1000)} s"
    return f"{number(low_ms)} to {number(high_ms)} ms"


def seconds(value: float | None) -> str:
    """How long something took or will take: `30 ms`, `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if value is None:
        return UNKNOWN
    if value < 0.0995:
        return f"{1000 * value:.2g} ms"
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def seconds_between(low: float, high: float) -> str:
    """A duration that is known as a range, in round numbers of one unit: `2 to 5 min`, `about 40 s`, `up to 30 s`."""
    length, unit = next((one for one in ((3600.0, "h"), (60.0, "min")) if high >= 1.5 * one[0]), (1.0, "s"))
    first, last = (_round_up(value / length) for value in (low, high))
    if low <= 0.1 * high:
        return f"up to {last:g} {unit}"
    return f"about {last:g} {unit}" if first == last else f"{first:g} to {last:g} {unit}"


def _round_up(value: float) -> float:
    """To halves below 3, to whole numbers below 20, to fives above."""
    step = 0.5 if value < 3 else 1.0 if value < 20 else 5.0
    return math.ceil(round(value / step, 6)) * step


def ago(moment: float | None, now: float) -> str:
    """How long ago a moment was, both in seconds since the epoch: `just now`, `5 min ago`, `3 days ago`."""
    if moment is None:
        return UNKNOWN
    passed = max(0.0, now - moment)
    if passed < 10:
        return "just now"
    for length, noun in ((86400.0, "day"), (3600.0, "h"), (60.0, "min")):
        if passed >= length:
            number = int(passed // length)
            return f"{plural(number, 'day')} ago" if noun == "day" else f"{number} {noun} ago"
    return f"{passed:.0f} s ago"


def lasting(moment: float, now: float) -> str:
    """How long something has lasted since a moment, both in seconds since the epoch: `a moment`, `20 s`, `5 min`, `3 days`."""
    told = ago(moment, now)
    return "a moment" if told == "just now" else told.removesuffix(" ago")


def percent(share: float | None, digits: int = 3) -> str:
    """A share of one as people read it, small ones included: `12.5 %`, `0.1 %`, `2e-05 %`, `1200 %`."""
    if share is None:
        return UNKNOWN
    return f"{100 * share:.0f} %" if 100 * abs(share) >= 10**digits else f"{100 * share:.{digits}g} %"


def scientific(value: float | None) -> str:
    """An error of any magnitude: `3.1e-05`."""
    return UNKNOWN if value is None else f"{value:.1e}"


def times(ratio: float) -> str:
    """How many times one figure is another: `0.50×`."""
    return f"{ratio:.2f}×"


def digest(text: str) -> str:
    """The beginning of a digest or a key, which is enough to name it."""
    return text[:DIGEST_LENGTH]


def shortened(text: str, length: int) -> str:
    """At most so many letters, a mark of omission counted in."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def listed(names: Sequence[str], most: int) -> str:
    """The first of the names, and how many there are besides: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def shape(spec: TensorSpec) -> str:
    """Of a tensor with axes that may have names: `[batch, 3, 224, 224]`."""
    return "unknown rank" if spec.shape is None else f"[{', '.join(map(str, spec.shape))}]"


def lengths(shape: Sequence[int]) -> str:
    """Of a tensor whose axes are all known: `1×3×224×224`."""
    return "×".join(map(str, shape)) or "scalar"
