"""Names that a user's model may have had a say in: checked before they become part of a path."""

from __future__ import annotations

from pathlib import PurePosixPath

MOST_LETTERS = 4096


def is_key(text: str) -> bool:
    """Whether it can be a digest or an artifact's key: letters and digits, one part of a path."""
    return len(text) <= 64 and text.isascii() and text.isalnum()


def check_key(text: str) -> None:
    """Refuses what is no key.

    Raises:
        ValueError: It is none; pydantic then tells that the file it stands in cannot be read.
    """
    if not is_key(text):
        raise ValueError(f"{text[:80]!r} is no key")


def check_below(text: str) -> None:
    """Refuses a path that could lead out of the folder that it is relative to.

    Raises:
        ValueError: As above.
    """
    path = PurePosixPath(text)
    if not text or len(text) > MOST_LETTERS or "\0" in text or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text[:80]!r} leads out of its folder")
