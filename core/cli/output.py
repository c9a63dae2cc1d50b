"""How results reach a terminal or a script."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rich.box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table

from core.base.errors import EngineRoomError, Failure
from core.base.progress import Progress as Step
from core.base.progress import Report
from core.base.serialization import to_data
from core.base.visible import visible_lines

WIDE = 240  # columns where output is no terminal: files and pipes need no folding


class _Terminal(Console):
    """Shows what texts of models would command a terminal, in place of having it done."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))


stdout = _Terminal(width=None if sys.stdout.isatty() else WIDE)
stderr = _Terminal(stderr=True, width=None if sys.stderr.isatty() else WIDE)


def print_json(value: Any) -> None:
    """A value type, or a list of them, as JSON on standard output."""
    data = [to_data(item) for item in value] if isinstance(value, list) else to_data(value)
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """A table; None is shown as a dash, columns named in `numbers` align right. Without rows it says that there are none."""
    if not rows:
        stdout.print(f"{title}: none" if title else "None.", highlight=False, markup=False)
        return
    table = Table(title=escape(title) or None, title_justify="left", box=rich.box.SIMPLE_HEAD, title_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*("–" if cell is None else escape(str(cell)) for cell in row))
    stdout.print(table)


def print_fields(title: str, fields: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; fields without a value are left out."""
    stdout.print(f"[bold]{escape(title)}[/bold]")
    width = max((len(name) for name, value in fields if value not in (None, "")), default=0)
    for name, value in fields:
        if value not in (None, ""):
            stdout.print(f"  {name:<{width}}  {escape(str(value))}", highlight=False)
    stdout.print()


def print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        stdout.print(f"[yellow]•[/yellow] {escape(note)}", highlight=False)


def fail(error: EngineRoomError) -> int:
    """Tells an error and returns its exit code."""
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": to_data(Failure.of(error))}, indent=2) + "\n")
    else:
        stderr.print(f"[bold red]Error:[/bold red] {escape(error.message)}", highlight=False)
        if error.hint:
            stderr.print(f"[bold]→[/bold] {escape(error.hint)}", highlight=False)
    return error.exit_code


@contextmanager
def progress_bar(title: str) -> Iterator[Report]:
    """A bar on standard error while it is a terminal, a line for each new message otherwise."""
    if not stderr.is_terminal:
        last = ""

        def line(step: Step) -> None:
            nonlocal last
            if step.message != last:
                last = step.message
                stderr.print(f"{escape(title)}: {escape(step.message)}", highlight=False)

        yield line
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task: TaskID = bar.add_task(escape(title), total=None)

        def show(step: Step) -> None:
            bar.update(task, description=f"{escape(title)}: {escape(step.message)}")
            if step.fraction is None:
                bar.update(task, total=None)
            else:
                bar.update(task, total=1.0, completed=step.fraction)

        yield show
