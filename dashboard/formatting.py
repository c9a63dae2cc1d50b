"""Figures, sizes, times and names as text; no Streamlit here.

What was never measured or is not known is a dash or said in words, never a zero.
"""

from __future__ import annotations

import re

from core.base.tensors import TensorSpec
from core.base.units import size as _size

UNKNOWN = "–"
NOT_MEASURED = "not measured"
DIGEST_LENGTH = 12


def size(count: int | None) -> str:
    """Bytes in decimal units: `4.2 MB`."""
    return _size(count) or UNKNOWN


def count(number: int | None) -> str:
    """A count in full: `1,234,567`."""
    return UNKNOWN if number is None else f"{number:,}"


def short_count(number: int | None) -> str:
    """A count in three digits: `25.6 M`."""
    if number is None:
        return UNKNOWN
    value, unit = float(number), ""
    for larger in ("k", "M", "G"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{number}" if not unit else f"{value:.3g} {unit}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def milliseconds(value: float | None) -> str:
    """A latency with three digits that mean something: `0.0123 ms`, `12.3 ms`, `1.23 s`."""
    if value is None:
        return NOT_MEASURED
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.0f} ms" if value >= 99.95 else f"{value:#.3g} ms"


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


def plain(text: str) -> str:
    """Text that Markdown and Streamlit's own marks leave as it is: names come from users' files."""
    return re.sub(r"[\\`*\[\]<>#|$~:]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def digest(text: str) -> str:
    """The beginning of a digest or a key, which is enough to name it."""
    return text[:DIGEST_LENGTH]


def shape(spec: TensorSpec) -> str:
    return "unknown rank" if spec.shape is None else f"[{', '.join(map(str, spec.shape))}]"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of one: `12.5 %`."""
    return UNKNOWN if share is None else f"{share * 100:.{digits}f} %"
