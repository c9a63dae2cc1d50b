"""`compare`: every path of a model on one table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from core.analysis.baseline import missing_baseline
from core.analysis.board import board
from core.analysis.comparison_data import row_as_data
from core.analysis.comparison_row import ComparisonRow
from core.analysis.comparison_summary import contenders, summary
from core.analysis.memory import COLUMNS as MEMORY
from core.analysis.memory import cells_of, columns_of
from core.analysis.summary import protocol_text
from core.analysis.versus import how_text
from core.base.errors import EngineRoomError, Unavailable
from core.base.precision import Precision
from core.base.units import interval, milliseconds, percent, scientific, seconds, size
from core.cli.models import AsJson, ModelArgument, stored_model
from core.cli.options import with_options
from core.cli.output import print_json, print_notes, print_table, stderr, stdout
from core.cli.requests import NOT_CHECKED, Force, RequestOptions, bring_runs, exit_code, make_request, run_in_foreground
from core.request.commands import command_for, duel_command_for
from core.request.paths import paths_for
from core.stages.outcome import Outcome
from core.storage.builds import all_builds
from core.storage.duels import all_duels
from core.storage.workspace import default_workspace

COLUMNS = [
    "path",
    "precision",
    "median",
    "95 % interval",
    "size",
    "rel. error",
    "top-1",
    "layers",
    "fused",
    "built in",
    "weak",
    "verdict",
]
NUMBERS = ["median", "size", "rel. error", "top-1", "layers", "fused", "built in", *MEMORY]


def register(app: typer.Typer) -> None:
    app.command("compare")(compare_command)


@with_options
def compare_command(
    model: ModelArgument,
    options: RequestOptions,
    path: Annotated[list[str] | None, typer.Option("--path", "-p", help="Only this path (repeatable).")] = None,
    precision: Annotated[list[Precision] | None, typer.Option("--precision", help="fp32 unless given (repeatable).")] = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Build every path of a model that works here, and set them side by side with a verdict."""
    workspace = bring_runs(default_workspace())
    found = stored_model(workspace, model)
    wanted = [
        (one_path, one_precision)
        for one_path in path or [p.id for p in paths_for(found) if p.available]
        for one_precision in precision or [Precision.FP32]
    ]
    outcomes: list[Outcome] = []
    skipped: list[str] = []
    for one_path, one_precision in wanted:
        try:
            request = make_request(workspace, found, one_path, one_precision, options)
        except EngineRoomError as error:
            if len(wanted) == 1:
                raise
            skipped.append(f"{one_path} in {one_precision.value} was left out: {error}")
            continue
        outcomes.append(run_in_foreground(workspace, request, force=force))
    if not outcomes:
        raise Unavailable(f"No path of {found.name} works here.", hint="`engineroom doctor` tells what to install.")
    rows = board(outcomes, duels=all_duels(workspace))
    if json:
        print_json([row_as_data(row) for row in rows])
    else:
        memory = columns_of([row.candidate.memory for row in rows])
        weak = any(row.candidate.weak for row in rows)
        columns = [*COLUMNS[:-2], *memory, *COLUMNS[-1 if not weak else -2 :]]
        cells = [_cells(row, with_memory=bool(memory), with_weak=weak) for row in rows]
        print_table(f"{found.name}, {size(found.frozen_bytes)} of frozen weights", columns, cells, numbers=NUMBERS)
        stdout.print(summary(rows), highlight=False, markup=False)
        told = " ".join(filter(None, (protocol_text(outcomes), how_text(row.speedup for row in rows))))
        stdout.print(told, style="dim", highlight=False, markup=False)
        if command := duel_command_for(contenders(rows)):
            stdout.print(f"To settle it: {command}", highlight=False, markup=False)
        print_notes([f"{row.name}: {row.payoff.text}" for row in rows if row.payoff])
        print_notes([f"{row.name}: {text}" for row in rows for text in row.disagreements])
        print_notes([f"{row.name}: {' '.join(row.candidate.notes)}" for row in rows if row.candidate.notes])
        if missing := missing_baseline(found, [build for build in all_builds(workspace) if build.request.model == found.digest]):
            print_notes([f"To build the baseline: {command_for(missing, workspace.data_path)}"])
        for line in skipped:
            stderr.print(line, style="yellow", highlight=False, markup=False)
    raise typer.Exit(worst_code(exit_code(outcome) for outcome in outcomes))


def worst_code(codes: Iterable[int]) -> int:
    """The first of a build that failed or is wrong; without any, that some build was not checked; else 0."""
    found = [code for code in codes if code]
    return next((code for code in found if code != NOT_CHECKED), found[0] if found else 0)


def _cells(row: ComparisonRow, *, with_memory: bool, with_weak: bool) -> tuple[object, ...]:
    candidate, latency, graph, worst = row.candidate, row.latency, row.candidate.graph, row.candidate.worst
    return (
        candidate.title,
        candidate.precision.value,
        milliseconds(latency.median_ms) if latency else None,
        interval(latency.low_ms, latency.high_ms) if latency else None,
        size(candidate.size_bytes),
        scientific(candidate.max_rel),
        percent(worst.top1) if worst else None,
        len(graph.layers) if graph else None,
        len(graph.fused_layers) if graph else None,
        seconds(candidate.build_seconds),
        *(cells_of(candidate.memory) if with_memory else ()),
        *((candidate.weak or None,) if with_weak else ()),
        row.verdict,
    )
