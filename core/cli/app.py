"""The `engineroom` program: its groups of commands, and errors as sentences and exit codes."""

from __future__ import annotations

import sys

import typer

from core import __version__
from core.base.errors import EngineRoomError
from core.base.files import workspace_root
from core.base.ownership import keep_files_private
from core.cli import bench, builds, compare, doctor, duel, findings, jobs, memory, models, precision, preflight, report
from core.cli.output import fail

app = typer.Typer(
    name="engineroom",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (models, preflight, builds, bench, memory, findings, compare, duel, report, precision, jobs, doctor):
    group.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and stop."),
) -> None:
    """Make trained models fast, and see what happened inside.

    Exit codes: 0 done, 1 failed, 2 wrong request, 3 model not readable or not found, 4 not available here, 5 conversion
    failed, 6 build failed, 7 engine failed to run, 8 a stage crashed, 9 cancelled, 10 storage failed, 11 parity failed, 12 a
    target does not take a node, 13 built, and nothing tells whether it is right, as its engine was not run or nothing could be
    compared.
    """


def main() -> None:
    """The program: errors we can name become a sentence on standard error and an exit code."""
    try:
        keep_files_private(workspace_root())
        app()
    except EngineRoomError as error:
        sys.exit(fail(error))
