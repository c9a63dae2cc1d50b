"""What texts of models do to a terminal: nothing."""

from __future__ import annotations

import pytest

from core.base.errors import InvalidRequest
from core.base.visible import visible, visible_lines
from core.cli import output

HOSTILE = "[bold]a[/b] \x1b[31mred \x1b]0;title\x07 \u202egnp\u202c \x9b2J"


def test_texts_command_no_terminal_and_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table("T " + HOSTILE, ["c"], [[HOSTILE]])
    output.print_fields(HOSTILE, [("name", HOSTILE)])
    output.print_notes([HOSTILE])
    output.fail(InvalidRequest(HOSTILE, hint=HOSTILE))
    told = "".join(capsys.readouterr())
    assert told.count("[bold]a[/b] ‹001B›[31mred ‹001B›]0;title ‹202E›gnp‹202C› ‹009B›2J") >= 5
    assert not set(told) & set("\x1b\x07\u202e\u202c\x9b")


def test_our_own_colours_stay() -> None:
    terminal = output._Terminal(force_terminal=True, color_system="standard", width=80)
    with terminal.capture() as captured:
        terminal.print("[red]a[/red]\x1b[2J", highlight=False)
    assert captured.get() == "\x1b[31ma\x1b[0m‹001B›[2J\n"


@pytest.mark.parametrize(
    ("text", "line", "lines"),
    [
        ("a\tb\nc", "a b c", "a\tb\nc"),
        ("größe 模型 👩‍🔬 می‌خواهم", "größe 模型 👩‍🔬 می‌خواهم", "größe 模型 👩‍🔬 می‌خواهم"),
        ("a\0b\x7f", "a‹0000›b‹007F›", "a‹0000›b‹007F›"),
        ("\ud800", "‹D800›", "‹D800›"),
        ("a\r\nb", "a b", "a‹000D›\nb"),
    ],
)
def test_what_is_not_seen_is_shown(text: str, line: str, lines: str) -> None:
    assert visible(text) == line
    assert visible_lines(text) == lines
