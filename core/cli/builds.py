"""`build`, `builds`, `layers`: one engine and its figures."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import typer
from rich.markup import escape

from core.analysis.contradiction import contradiction_in, trusted_graph
from core.analysis.findings import findings_of
from core.analysis.memory import layer_bytes, memory_text, moved_texts, told
from core.analysis.payoff import no_payoff_text, payoff_among
from core.analysis.preparation import simplified_text
from core.analysis.realized import compare_precisions
from core.analysis.streams import sentences, streams_of
from core.analysis.streams import summary as streams_summary
from core.analysis.summary import Figure, build_figures, devices_text, failures, ran_on_text, state_text
from core.base.errors import StoreFailed
from core.base.precision import Precision
from core.base.serialization import to_data
from core.base.units import digest, milliseconds, number
from core.benchmark.gpu import GpuTimes
from core.benchmark.weakness import Weakness, words
from core.cli.accuracy import precision_fields, print_precision
from core.cli.models import AsJson, ModelArgument, stored_model
from core.cli.options import with_options
from core.cli.output import print_fields, print_json, print_notes, print_table, stderr
from core.cli.requests import (
    Force,
    RequestOptions,
    RunElsewhere,
    bring_runs,
    exit_code,
    make_request,
    require,
    run_in_foreground,
)
from core.graph.engine_graph import EngineGraph
from core.jobs.queue import Queue
from core.precision.calibration.ranges import UNCALIBRATED
from core.stages.outcome import Outcome, load_outcome, measurement_of
from core.storage.builds import Build, all_builds
from core.storage.duels import all_duels
from core.storage.workspace import Workspace, default_workspace


def register(app: typer.Typer) -> None:
    app.command("build")(build_command)
    app.command("builds")(builds_command)
    app.command("layers")(layers_command)


@with_options
def build_command(
    model: ModelArgument,
    path: Annotated[str, typer.Option("--path", "-p", help="Which path, as `engineroom paths` lists them.")],
    options: RequestOptions,
    precision: Annotated[Precision, typer.Option("--precision")] = Precision.FP32,
    force: Force = False,
    run_elsewhere: RunElsewhere = False,
    json: AsJson = False,
) -> None:
    """Build one engine in the foreground, then show its size, latency, parity and layers."""
    workspace = default_workspace()
    request = make_request(workspace, stored_model(workspace, model), path, precision, options)
    outcome = run_in_foreground(workspace, request, force=force)
    if json:
        print_json(outcome_as_data(outcome))
    else:
        show_outcome(outcome)
        _show_payoff(workspace, outcome)
    if run_elsewhere and outcome.build.not_run:
        told = Queue(workspace).run(outcome.build.key)
        stderr.print(f"job {told.job} is to run it. {told.note}".strip(), highlight=False, markup=False)
    raise typer.Exit(exit_code(outcome))


def outcome_as_data(outcome: Outcome) -> dict[str, Any]:
    """A build for scripts: what its stages found, whether it is right, and why nobody is to deploy it."""
    judged = {"verdict": outcome.verdict, "unchecked": outcome.unchecked, "stamp": outcome.stamp}
    weak = {
        "weaknesses": to_data(outcome.measurement.weaknesses if outcome.measurement else ()),
        "layer_times_contradict": " ".join(_doubts(outcome)),
    }
    return {**to_data(outcome), **judged, **weak}


def show_outcome(outcome: Outcome) -> None:
    """One build as a page of text."""
    build, request = outcome.build, outcome.build.request
    fields: list[tuple[str, object]] = [
        ("build", digest(build.key)),
        ("state", build.state.value),
        ("stamp", UNCALIBRATED if outcome.stamp else None),
        ("precision", request.precision.value),
        ("device", devices_text(build)),
        ("built on", build.built_on.text if build.built_on else None),
        ("simplified", simplified_text(outcome)),
        ("walls", outcome.walls.words if outcome.walls else None),
    ]
    if built := outcome.built:
        fields.append(("artifact", built.engine.folder / built.engine.artifact))
    fields += [(figure.label.lower(), _figure_text(figure)) for figure in build_figures(outcome)]
    fields += gpu_fields(outcome.measurement.gpu) if outcome.measurement else []
    lowered = outcome.prepared.precision if outcome.prepared else None
    print_fields(f"{outcome.model.name} → {request.path}", [*fields, *(precision_fields(lowered) if lowered else [])])
    if lowered:
        print_precision(lowered)
    for text in failures(build):
        stderr.print(f"[bold red]{escape(text)}[/bold red]", highlight=False)
    print_notes(_notes(outcome))


def _figure_text(figure: Figure) -> str:
    weak = f" (weak: {figure.weak})" if figure.weak else ""
    head = f"{figure.value}{weak} {figure.basis}".strip()
    return f"{head}: {'; '.join(figure.against)}" if figure.against else head


def _notes(outcome: Outcome) -> list[str]:
    """What makes the figures weak, and where layers ran in another precision than asked, each sentence once."""
    measured, parity, graph = outcome.measurement, outcome.parity, trusted_graph(outcome)
    told = [*measured.warnings, *(measured.gpu.warnings if measured.gpu else ())] if measured else []
    realized = compare_precisions(graph, outcome.build.request.precision).disagreements if graph else ()
    told += [*outcome.notes, *(pair.warning for pair in realized), *(parity.notes if parity else ())]
    return list(dict.fromkeys([*told, *_doubts(outcome), *_mendable(outcome)]))


def _doubts(outcome: Outcome) -> list[str]:
    """That the layers' times contradict the latency, where they do."""
    found = contradiction_in(outcome)
    return [f"{found.text} {found.meaning}"] if found else []


def _mendable(outcome: Outcome) -> list[str]:
    """Where to read of what a setting may mend."""
    flags = list(dict.fromkeys(one.mend.command for one in findings_of(outcome) if one.mend))
    return [f"To try: {' | '.join(flags)}. `engineroom findings {digest(outcome.build.key)}` tells why."] if flags else []


def _show_payoff(workspace: Workspace, outcome: Outcome) -> None:
    """Whether the precision paid, where the same path was built in FP32 before."""
    request = outcome.build.request
    if request.precision is Precision.FP32 or outcome.measurement is None:
        return
    builds, load = all_builds(workspace), partial(load_outcome, workspace)
    paid = payoff_among(outcome, builds, load, all_duels(workspace))
    print_notes([paid.text if paid else no_payoff_text(outcome, builds, load)])


def gpu_fields(gpu: GpuTimes | None) -> list[tuple[str, object]]:
    """The GPU's own times, a line for each way they were taken."""
    if gpu is None:
        return []
    runs = [
        (f"GPU, {run.title}", f"{milliseconds(run.compute.median_ms)} computing, {run.throughput:,.1f} runs a second")
        for run in gpu.runs
    ]
    host = [
        (f"page-locked, {how}", f"{milliseconds(latency.median_ms)} host to host") for how, latency in gpu.host_to_host.items()
    ]
    streams = ", ".join(f"{point.streams}: {point.throughput:,.1f}" for point in gpu.streams)
    return [*runs, *host, ("runs a second by streams", streams), ("batch knee", gpu.knee)]


def builds_command(json: AsJson = False) -> None:
    """List the stored builds, newest first."""
    workspace = bring_runs(default_workspace())
    found = all_builds(workspace)
    weak = {build.key: _weaknesses(workspace, build) for build in found}
    if json:
        print_json([{**to_data(build), "weaknesses": to_data(weak[build.key])} for build in found])
        return
    names = {model.digest: model.name for model in workspace.all_models()}
    rows = [
        (
            digest(b.key),
            names.get(b.request.model, digest(b.request.model)),
            b.request.path,
            b.request.precision.value,
            state_text(b),
            ran_on_text(b),
            *((words(weak[b.key]) or None,) if any(weak.values()) else ()),
        )
        for b in found
    ]
    columns = ["build", "model", "path", "precision", "state", "run on", *(["weak figures"] if any(weak.values()) else [])]
    print_table("", columns, rows)


def _weaknesses(workspace: Workspace, build: Build) -> tuple[Weakness, ...]:
    with suppress(StoreFailed):  # figures of another release; the build is listed all the same
        measured = measurement_of(workspace, build)
        return measured.weaknesses if measured else ()
    return ()


def layers_command(
    build: Annotated[str, typer.Argument(help="Key of a build, or its beginning.")],
    json: AsJson = False,
) -> None:
    """Show a built engine's layers, and the source nodes fused into each."""
    outcome = load_outcome(bring_runs(default_workspace()), build)
    graph = require(outcome.graph)
    if json:
        print_json(graph)
        return
    moved = layer_bytes(graph)
    totals = {row.position: told(row.total) for row in moved} if any(row.total for row in moved) else {}
    streams = any(one.several for one in streams_of(graph))
    rows = [
        (
            n,
            layer.kind,
            layer.kernel,
            layer.precision,
            number(layer.time_ms),
            *([layer.stream] if streams else []),
            *([totals.get(n)] if totals else []),
            " ".join(layer.source_nodes),
        )
        for n, layer in enumerate(graph.layers, 1)
    ]
    more = [*(["stream"] if streams else []), *(["moves"] if totals else [])]
    columns = ["", "kind", "kernel", "precision", "ms", *more, "source nodes"]
    print_table(f"{len(rows)} layers", columns, rows, numbers=["", "ms", *more])
    if graph.loose_nodes:
        loose = [(node.fate.value, node.op, node.name, node.reason) for node in graph.loose_nodes]
        print_table("Nodes in no layer", ["fate", "op", "node", "why"], loose)
    print_notes([*_doubts(outcome), *_engine_notes(graph)])


def _engine_notes(graph: EngineGraph) -> list[str]:
    """What the runtime tells of the engine's streams and memory, and its notes."""
    told_streams = [
        f"{f'Profile {one.profile}: ' if one.profile is not None else ''}{' '.join([streams_summary(one), *sentences(one)])}"
        for one in streams_of(graph)
    ]
    memory = [memory_text(graph.memory), *moved_texts(layer_bytes(graph))] if graph.memory else []
    return [*told_streams, *memory, *graph.notes]
