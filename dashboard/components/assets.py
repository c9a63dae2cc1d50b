"""What components bring for the browser: HTML, CSS and JavaScript beside them."""

from __future__ import annotations

from pathlib import Path


def asset(*names: str) -> str:
    """The text of these files, one after the other."""
    return "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in names)
