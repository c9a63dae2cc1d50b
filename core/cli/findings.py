"""`findings`: what is worth knowing about a build's layers, and what may mend it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import typer
from rich.markup import escape

from core.analysis.finding import Finding
from core.analysis.findings import findings_of
from core.analysis.standing import Change, Standing, changes, standing, verdict
from core.analysis.twins import twins_text, wider_twins
from core.base.errors import InvalidRequest
from core.base.units import digest, listed
from core.cli.models import AsJson
from core.cli.output import print_json, print_notes, print_table, stdout
from core.cli.requests import require
from core.request.commands import command_for
from core.stages.outcome import Outcome, load_outcome
from core.storage.builds import all_builds
from core.storage.workspace import default_workspace

NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the command gives as JSON.

    Attributes:
        standing: What the engine's layers move.
        twins: The same path's in wider floats, by their precision.
        against: The other build's, where one was named.
    """

    build: str
    standing: Standing
    findings: tuple[Finding, ...]
    twins: dict[str, Standing] = field(default_factory=dict)
    against: Standing | None = None
    changes: tuple[Change, ...] = ()


def register(app: typer.Typer) -> None:
    app.command("findings")(findings_command)


def findings_command(
    build: Annotated[str, typer.Argument(help="Key of a build, or its beginning.")],
    against: Annotated[
        str | None, typer.Option("--against", help="Another build of the model: what it has of layers and bytes beside this one.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Tell what is worth knowing about a build's layers, and the settings that may mend it."""
    workspace = default_workspace()
    outcome = load_outcome(workspace, build)
    own = _standing(outcome)
    twins = wider_twins(outcome, all_builds(workspace), partial(load_outcome, workspace))
    other = load_outcome(workspace, against) if against else None
    if other and other.model.digest != outcome.model.digest:
        raise InvalidRequest("Two builds of one model are set against each other.", hint="`engineroom builds` lists them.")
    beside = _standing(other) if other else None
    told = Told(
        build=outcome.build.key,
        standing=own,
        findings=tuple(findings_of(outcome)),
        twins={precision.value: other for precision, other in twins},
        against=beside,
        changes=changes(own, beside) if beside else (),
    )
    if json:
        print_json(told)
        return
    stdout.print(f"[bold]{escape(outcome.model.name)} → {escape(outcome.build.request.full_title)}[/bold]", highlight=False)
    stdout.print(escape(own.text), highlight=False)
    if twins:
        stdout.print(escape(twins_text(own, twins)), highlight=False)
    for finding in told.findings:
        _show(finding, outcome)
    if not told.findings:
        stdout.print("\nNothing stands out.", highlight=False)
    if outcome.graph and outcome.graph.notes:
        stdout.print()
        print_notes(outcome.graph.notes)
    if beside and other:
        rows = [(one.label, one.before, one.after, one.change or None) for one in told.changes]
        columns = ["", digest(outcome.build.key), digest(other.build.key), "change"]
        print_table("\nBefore and after", columns, rows, numbers=columns[1:])
        stdout.print(escape(verdict(own, beside)), highlight=False)


def _standing(outcome: Outcome) -> Standing:
    return standing(require(outcome.graph), outcome.built.engine.size_bytes if outcome.built else None)


def _show(finding: Finding, outcome: Outcome) -> None:
    colour = "green" if finding.good else "red" if finding.bad else "yellow"
    stdout.print(f"\n[{colour}]•[/{colour}] [bold]{escape(finding.kind.value.capitalize())}[/bold]", highlight=False)
    lines = [finding.message, finding.hint]
    if finding.nodes:
        lines.append(f"Source nodes: {listed(finding.nodes, NAMED)}.")
    if mend := finding.mend:
        lines += [f"To try: {mend.title}: {mend.command}", mend.cost]
        lines.append(command_for(mend.request, default_workspace().data_path))
    for line in lines:
        stdout.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
