"""An option's values: what a text is read as, and what is refused."""

from __future__ import annotations

import pytest

from core.backends.base import Option, OptionValue
from core.base.errors import InvalidRequest


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [(3, "7", 7), (0.5, "1", 1.0), ("", "a=b", "a=b"), (False, "Yes", True), (True, "off", False)],
)
def test_a_text_is_read_as_the_defaults_type(default: OptionValue, text: str, value: OptionValue) -> None:
    found = Option(name="knob", default=default, help="").read(text)
    assert (found, type(found)) == (value, type(value))


def test_a_text_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="knob takes a int, not 'many'"):
        Option(name="knob", default=3, help="").read("many")


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        (Option(name="knob", default=3, help="", choices=(1, 3)), 2, "Choose from: 1, 3."),
        (Option(name="knob", default=3, help=""), "3", "Give a int."),
        (Option(name="knob", default=3, help=""), True, "Give a int."),
    ],
)
def test_a_value_that_it_cannot_be_is_refused(option: Option, value: OptionValue, hint: str) -> None:
    option.check(option.default)
    with pytest.raises(InvalidRequest, match="knob cannot be") as caught:
        option.check(value)
    assert caught.value.hint == hint
