"""Errors as people read them."""

from __future__ import annotations

import pytest

from core.base.errors import BuildFailed, Failure


@pytest.mark.parametrize(
    ("message", "hint", "text"),
    [
        ("It failed.", "Try again.", "It failed. Try again."),
        ("No kernel for FP8", "Leave it out.", "No kernel for FP8. Leave it out."),
        ("No plugin (at NonZero n)", "Give one.", "No plugin (at NonZero n). Give one."),
        ("Which one?", "That one.", "Which one? That one."),
        ("No kernel for FP8", "", "No kernel for FP8"),
    ],
)
def test_message_and_hint_are_sentences_although_a_library_may_not_end_its_own(message: str, hint: str, text: str) -> None:
    error = BuildFailed(message, hint=hint)
    assert str(error) == text
    assert str(Failure.of(error)) == text
