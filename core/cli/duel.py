"""`duel`: engines head to head, to settle which is faster."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from core.analysis.duels import RULE_TEXT, duel_as_data, duel_conditions, duel_rows, duel_text
from core.base.children.call import Fetch
from core.base.progress import Progress, Report
from core.base.units import digest, milliseconds
from core.benchmark.duel import DuelProtocol
from core.cli.jobs import Database, PriorityName, priority_named, show_submitted
from core.cli.models import AsJson
from core.cli.output import print_json, print_notes, print_table, progress_bar, stderr, stdout
from core.cli.requests import bring_runs
from core.jobs.device import exclusive, parse_device
from core.jobs.queue import Queue
from core.stages.child import run_stage
from core.stages.contestants import duel_of
from core.stages.head_to_head import run_duel
from core.stages.outcome import load_outcome
from core.storage.builds import StageName, State
from core.storage.duels import Duel, duel_folder
from core.storage.workspace import Workspace, default_workspace

DEFAULT = DuelProtocol()
CANCELLED = 9


def register(app: typer.Typer) -> None:
    app.command("duel")(duel_command)


def duel_command(
    build: Annotated[list[str], typer.Argument(metavar="BUILD...", help="Keys of builds of one model, or their beginnings.")],
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, help="Begin no other start after so long, settled or not.")
    ] = DEFAULT.max_seconds,
    starts: Annotated[
        int, typer.Option("--starts", min=4, max=DEFAULT.starts, help="Fresh processes of each engine, at most.")
    ] = DEFAULT.starts,
    queue: Annotated[bool, typer.Option("--queue", help="Leave it to a worker.")] = False,
    priority: PriorityName = "normal",
    database: Database = None,
    json: AsJson = False,
) -> None:
    """Hold engines head to head: they take turns until it is settled which is faster, each held against the first."""
    workspace = bring_runs(default_workspace())
    protocol = DuelProtocol(max_seconds=seconds, starts=starts)
    if queue:
        answer = Queue(workspace, database).duel(build, protocol, priority=priority_named(priority))
        if json:
            print_json(answer)
        else:
            show_submitted([answer])
        return
    outcomes = [load_outcome(workspace, key) for key in build]
    duel = _in_foreground(workspace, duel_of(outcomes, protocol))
    if json:
        print_json(duel_as_data(duel, outcomes[0].build.key))
    else:
        show_duel(duel, outcomes[0].build.key)
    if duel.error:
        raise duel.error.to_error()
    raise typer.Exit(CANCELLED if duel.state is State.CANCELLED else 0)


def _in_foreground(workspace: Workspace, duel: Duel) -> Duel:
    device = parse_device(duel.device)
    folder = duel_folder(workspace, duel.key)
    folder.mkdir(parents=True, exist_ok=True)
    with progress_bar("head to head") as report:

        def show(_: Duel, progress: Progress | None) -> None:
            if progress:
                report(progress)

        def run(key: str, scratch: Path, report: Report, turn: Fetch) -> None:
            run_stage(
                StageName.DUEL,
                scratch,
                report,
                device=duel.device,
                build=folder,
                environment=device.environment,
                turn=turn,
                holding=workspace.build_folder(key),
            )

        wait = partial(report, Progress(message="waiting for the device: a build is at it"))
        with exclusive(device, wait):
            return run_duel(workspace, duel, device.place, on_change=show, runner=run, cuda=device.type == "cuda")


def show_duel(duel: Duel, against: str) -> None:
    rows = duel_rows(duel, against)
    cells = [
        (
            digest(row.key),
            row.title,
            milliseconds(row.median_ms),
            milliseconds(row.low_ms),
            milliseconds(row.high_ms),
            row.verdict,
        )
        for row in rows
    ]
    columns = ["build", "engine", "median", "fastest start", "slowest start", "verdict"]
    print_table("", columns, cells, numbers=["median", "fastest start", "slowest start"])
    stdout.print(duel_text(duel), highlight=False, markup=False)
    stdout.print(RULE_TEXT, style="dim", highlight=False, markup=False)
    print_notes(list(duel_conditions(duel)))
    if duel.state is State.CANCELLED:
        stderr.print("The same command goes on with it.", highlight=False, markup=False)
