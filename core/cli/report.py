"""`report`: one HTML file of a build or a comparison, to attach to an issue or keep with a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.base.errors import InvalidRequest, StoreFailed
from core.base.files import write_whole
from core.base.units import size
from core.cli.output import stdout
from core.cli.requests import bring_runs
from core.report.page import report
from core.stages.outcome import load_outcome
from core.storage.duels import all_duels
from core.storage.workspace import default_workspace


def register(app: typer.Typer) -> None:
    app.command("report")(report_command)


def report_command(
    build: Annotated[list[str], typer.Argument(metavar="BUILD...", help="Keys of builds of one model, or their beginnings.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("report.html"),
    baseline: Annotated[str | None, typer.Option("--baseline", help="The build that the others are held against.")] = None,
) -> None:
    """Write a self-contained HTML report of one build, or of several side by side."""
    workspace = bring_runs(default_workspace())
    outcomes = [load_outcome(workspace, key) for key in dict.fromkeys(build)]
    if len({outcome.model.digest for outcome in outcomes}) > 1:
        raise InvalidRequest("These builds are of different models.", hint="Give builds of one model: `engineroom builds` tells.")
    base = load_outcome(workspace, baseline).build.key if baseline else None
    content = report(outcomes, duels=all_duels(workspace), baseline=base)
    try:
        if output.exists() and not output.is_file():
            output.write_text(content, encoding="utf-8")  # a pipe, /dev/stdout
        else:
            write_whole(output.resolve(), content.encode())
    except OSError as error:
        raise StoreFailed(f"Could not write {output}: {error.strerror}.", hint="Name another file with -o.") from error
    stdout.print(f"{output} is written, {size(len(content.encode()))}", highlight=False, markup=False)
