"""Figures with their units, as text."""

from __future__ import annotations


def size(count: int | None) -> str | None:
    """Bytes in decimal units, as file managers show them."""
    if count is None:
        return None
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
