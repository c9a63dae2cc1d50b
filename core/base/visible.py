"""Text of strangers made visible: what would move the letters around it, or command a terminal, is shown by its number."""

from __future__ import annotations

import re

_SPACES = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
# Control characters, marks that nobody sees, directions, halves of characters.
_UNSEEN = r"\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
_IN_A_LINE = re.compile(rf"[\x00-\x1f{_UNSEEN}]")
_IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")


def visible(text: str) -> str:
    """In one line."""
    return _IN_A_LINE.sub(_number, one_line(text)).strip()


def visible_lines(text: str) -> str:
    """In its lines, for a terminal."""
    return _IN_LINES.sub(_number, text)


def one_line(text: str) -> str:
    return _SPACES.sub(" ", text)


def _number(found: re.Match[str]) -> str:
    return f"‹{ord(found[0]):04X}›"
