"""`preflight`: what every target takes of a model, before any build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from core.analysis.preflight import Problem, between_text, problems, regions_text, verdict_text
from core.backends.base import OptionValue, backend_named, known_option
from core.base.errors import InvalidRequest, NotFound
from core.base.serialization import to_data
from core.base.units import listed, shortened
from core.cli.models import AsJson, ModelArgument, stored_model
from core.cli.output import print_fields, print_json, print_notes, print_table, progress_bar, stderr, stdout
from core.graph.support import Verdict
from core.jobs.turn import turn_of
from core.models.model import Model
from core.preflight.answer import Preflight, Target
from core.preflight.run import preflight
from core.preflight.subgraph import write_subgraph
from core.preflight.targets import chosen_targets, targets_for
from core.request.paths import BuildPath
from core.storage.workspace import default_workspace

NOT_TAKEN = 12
_NAMED = 6
_NAME_LETTERS = 60

Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target", "-t", help="A backend, as in `engineroom doctor`: tensorrt_rtx, openvino (repeatable); all by default."
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", help="A knob of the targets that have it: plugins=/path/to/plugin.so (repeatable)."),
]


def register(app: typer.Typer) -> None:
    app.command("preflight")(preflight_command)


def preflight_command(
    model: ModelArgument,
    target: Targets = None,
    signature: Annotated[str | None, typer.Option("--signature", help="Which callable of the model.")] = None,
    option: Options = None,
    subgraph: Annotated[
        list[str] | None, typer.Option("--subgraph", help="Write this node as a small ONNX file to --out (repeatable).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file that --subgraph writes.")] = None,
    json: AsJson = False,
) -> None:
    """Tell which nodes each target takes, before any build, and what to do about the others.

    Exit codes: 0 every target that was asked takes every node, 12 some node is refused or not told of, else that of the error
    that kept a target from answering.
    """
    if (subgraph is None) != (out is None):
        raise InvalidRequest("--subgraph and --out go together.", hint="Give both: --subgraph NODE --out node.onnx.")
    workspace = default_workspace()
    found = stored_model(workspace, model)
    paths, unasked = (chosen_targets(found, target, signature), ()) if target else targets_for(found, signature)
    if not paths:
        raise InvalidRequest(
            f"No target can be asked about {found.name} here.", hint="; ".join(f"{u.title}: {u.reason}" for u in unasked)
        )
    given = _options(paths, option or [])
    with progress_bar("preflight") as report:
        told = preflight(
            workspace, found, paths, signature=signature, options=given, unasked=unasked, report=report, turn=turn_of
        )
    if json:
        print_json(as_data(told))
    else:
        _show(found, told)
    if subgraph and out:
        answers = [one.answer for one in told.targets if one.answer]
        if not answers:
            raise NotFound("No target has answered, so there is no graph to take a node from.", hint="See the errors above.")
        write_subgraph(workspace, found, answers[0], subgraph, out)
        stderr.print(f"Wrote {escape(listed(subgraph, _NAMED))} to {escape(str(out))}.", highlight=False)
    raise typer.Exit(exit_code(told))


def exit_code(told: Preflight) -> int:
    """0 when all that were asked take all; NOT_TAKEN for a node; else the code of the error that kept one from answering."""
    if any(target.answer and not target.answer.support.complete for target in told.targets):
        return NOT_TAKEN
    failures = [target.failure.to_error().exit_code for target in told.targets if target.failure]
    return failures[0] if failures else 0


def as_data(told: Preflight) -> dict[str, object]:
    """The preflight as scripts read it."""
    return {
        "model": told.model,
        "signature": told.signature,
        "targets": [_target_data(told, target) for target in told.targets],
        "unasked": to_data(told.unasked),
        "exit_code": exit_code(told),
    }


def _target_data(told: Preflight, target: Target) -> dict[str, object]:
    data: dict[str, object] = {
        "target": target.backend,
        "title": target.title,
        "path": target.path,
        "takes_all": target.takes_all,
        "error": to_data(target.failure),
    }
    if target.answer:
        support = target.answer.support
        data |= {
            "counts": {verdict.value: number for verdict, number in support.counts().items()},
            "regions": support.regions,
            "cuts": [node.name for node in support.cuts],
            "problems": [_problem_data(problem) for problem in problems(told, target)],
            "nodes": to_data(support.nodes),
            "way": support.way,
            "notes": list(support.notes),
            "versions": support.versions,
        }
    return data


def _problem_data(problem: Problem) -> dict[str, object]:
    return {
        "op": problem.op,
        "verdict": problem.verdict.value,
        "reason": problem.reason,
        "advice": list(problem.advice),
        "nodes": [node.name for node in problem.nodes],
        "between": {node.name: between_text(node) for node in problem.nodes if node.stands_between},
    }


def _options(paths: Sequence[BuildPath], texts: Sequence[str]) -> dict[str, dict[str, OptionValue]]:
    """Values by backend of `name=value` texts, for those that have the option.

    Raises:
        InvalidRequest: A text has no such form, none of the targets has such an option, or the value is of another type.
    """
    found: dict[str, dict[str, OptionValue]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f"Could not read the option {text!r}.", hint="Write name=value.")
        backends = [backend_named(path.backend) for path in paths]
        having = [backend for backend in backends if any(one.name == name for one in backend.options)]
        if not having:
            known_option(backends[0], name)
        for backend in having:
            found.setdefault(backend.name, {})[name] = known_option(backend, name).read(value)
    return found


def _show(model: Model, told: Preflight) -> None:
    rows = [_row(target) for target in told.targets]
    print_table(
        f"{model.name}, signature {told.signature}",
        ["target", "path", "supported", "not supported", "not told", "regions", ""],
        rows,
        numbers=["supported", "not supported", "not told"],
    )
    for target in told.targets:
        if target.failure:
            stderr.print(f"[bold red]{escape(target.title)}: {escape(target.failure.message)}[/bold red]", highlight=False)
            if target.failure.hint:
                stderr.print(f"  → {escape(target.failure.hint)}", highlight=False)
        for problem in problems(told, target):
            _show_problem(target, problem)
    answered = [(target.title, target.answer.support) for target in told.targets if target.answer]
    print_notes([f"{title}: {note}" for title, support in answered for note in (support.way, *support.notes)])
    for one in told.unasked:
        stdout.print(f"[dim]Not asked: {escape(one.title)}. {escape(one.reason)} {escape(one.hint)}[/dim]", highlight=False)


def _row(target: Target) -> tuple[object, ...]:
    if target.answer is None:
        return (target.title, target.path, None, None, None, None, "no answer")
    counts = target.answer.support.counts()
    return (
        target.title,
        target.path,
        *(counts[verdict] for verdict in Verdict),
        regions_text(target.answer),
        verdict_text(target),
    )


def _show_problem(target: Target, problem: Problem) -> None:
    names = listed([shortened(node.name, _NAME_LETTERS) for node in problem.nodes], _NAMED)
    fields: list[tuple[str, object]] = [
        ("nodes", repr(names)[1:-1]),
        (problem.verdict.value, problem.reason),
        ("where", problem.cuts_text),
        *(("what to do", advice) for advice in problem.advice),
    ]
    print_fields(f"{target.title} · {problem.op}", fields)
