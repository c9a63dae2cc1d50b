"""`compare`: every path of a model on one table."""

from __future__ import annotations

from typing import Annotated

import typer

from core.analysis.comparison import ComparisonRow, candidate_from, compare_candidates, percent, summary
from core.base.errors import EngineRoomError, Unavailable
from core.base.precision import Precision
from core.base.units import size
from core.cli.models import AsJson, ModelArgument, stored_model
from core.cli.options import with_options
from core.cli.output import print_json, print_notes, print_table, stderr, stdout
from core.cli.requests import Force, RequestOptions, exit_code, make_request, run_in_foreground
from core.request.paths import paths_for
from core.stages.outcome import Outcome
from core.storage.workspace import default_workspace

COLUMNS = ["path", "precision", "ms", "95 % interval", "size", "rel. error", "top-1", "layers", "fused", "built in", "verdict"]
NUMBERS = ["ms", "size", "rel. error", "top-1", "layers", "fused", "built in"]


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
    workspace = default_workspace()
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
    rows = compare_candidates([candidate_from(outcome) for outcome in outcomes], frozen_bytes=found.frozen_bytes)
    if json:
        print_json(rows)
    else:
        print_table(
            f"{found.name}, {size(found.frozen_bytes)} of frozen weights", COLUMNS, [_cells(r) for r in rows], numbers=NUMBERS
        )
        stdout.print(summary(rows), highlight=False)
        stdout.print(_conditions(outcomes), style="dim", highlight=False)
        print_notes([f"{row.title}: {row.payoff.text}" for row in rows if row.payoff])
        print_notes([f"{row.title} in {row.precision.value}: {text}" for row in rows for text in row.disagreements])
        print_notes([f"{row.title}: {' '.join(row.notes)}" for row in rows if row.notes])
        for line in skipped:
            stderr.print(line, style="yellow", highlight=False)
    codes = [exit_code(outcome) for outcome in outcomes]
    raise typer.Exit(next((code for code in codes if code), 0))


def _cells(row: ComparisonRow) -> tuple[object, ...]:
    return (
        row.title,
        row.precision.value,
        None if row.median_ms is None else f"{row.median_ms:.3f}",
        None if row.low_ms is None else f"{row.low_ms:.3f} to {row.high_ms:.3f}",
        size(row.size_bytes),
        None if row.max_rel is None else f"{row.max_rel:.1e}",
        None if row.top1 is None else percent(row.top1),
        row.layers,
        row.fused_layers,
        None if row.build_seconds is None else f"{row.build_seconds:.1f} s",
        row.verdict,
    )


def _conditions(outcomes: list[Outcome]) -> str:
    """How the figures were taken, from the first build that has any."""
    measured = next((outcome.measurement for outcome in outcomes if outcome.measurement), None)
    if measured is None:
        return ""
    shapes = ", ".join(f"{name} {list(shape)}" for name, shape in measured.shapes.items())
    protocol = measured.protocol
    return (
        f"{shapes}; at least {protocol.min_seconds:g} s and {protocol.min_samples} runs after warm-up, one at a time, "
        f"host to host; {measured.machine.get('processor', 'processor unknown')}, {measured.settings.get('threads')} threads"
    )
