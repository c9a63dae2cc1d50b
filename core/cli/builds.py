"""`build`, `builds`, `layers`, `bench`: one engine and its figures."""

from __future__ import annotations

from typing import Annotated

import typer

from core.analysis.comparison import candidate_from, payoff_of
from core.analysis.payoff import is_measure_for
from core.analysis.preparation import simplified_text
from core.analysis.realized import compare_precisions
from core.base.precision import Precision
from core.base.units import size
from core.benchmark.gpu import GpuTimes
from core.benchmark.measurement import Measurement
from core.cli.accuracy import precision_fields, print_precision
from core.cli.models import AsJson, ModelArgument, stored_model
from core.cli.options import with_options
from core.cli.output import print_fields, print_json, print_notes, print_table, progress_bar, stderr
from core.cli.requests import Force, RequestOptions, exit_code, make_request, require, run_in_foreground
from core.parity.result import OutputParity
from core.stages.child import run_stage
from core.stages.outcome import Outcome, load_outcome
from core.storage.builds import StageName, all_builds
from core.storage.workspace import Workspace, default_workspace

BuildArgument = Annotated[str, typer.Argument(metavar="BUILD", help="Key of a build, or its beginning: see `engineroom builds`.")]


def register(app: typer.Typer) -> None:
    app.command("build")(build_command)
    app.command("builds")(builds_command)
    app.command("layers")(layers_command)
    app.command("bench")(bench_command)


@with_options
def build_command(
    model: ModelArgument,
    path: Annotated[str, typer.Option("--path", "-p", help="Which path, as `engineroom paths` lists them.")],
    options: RequestOptions,
    precision: Annotated[Precision, typer.Option("--precision")] = Precision.FP32,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Build one engine in the foreground, then show its size, latency, parity and layers."""
    workspace = default_workspace()
    request = make_request(workspace, stored_model(workspace, model), path, precision, options)
    outcome = run_in_foreground(workspace, request, force=force)
    if json:
        print_json(outcome)
    else:
        show_outcome(outcome)
        _show_payoff(workspace, outcome)
    raise typer.Exit(exit_code(outcome))


def show_outcome(outcome: Outcome) -> None:
    """One build as a page of text."""
    build, request = outcome.build, outcome.build.request
    fields: list[tuple[str, object]] = [
        ("build", build.key[:12]),
        ("state", build.state.value),
        ("precision", request.precision.value),
        ("device", request.device),
        ("simplified", simplified_text(outcome)),
    ]
    if built := outcome.built:
        fields += [
            ("engine size", size(built.engine.size_bytes)),
            ("build time", f"{built.build_seconds:.2f} s" + (" (reused)" if built.reused else "")),
            ("artifact", built.engine.folder / built.engine.artifact),
        ]
    if graph := outcome.graph:
        fields += [
            ("layers", f"{len(graph.layers)} from {len(graph.source_nodes)} nodes, {len(graph.fused_layers)} of them fused"),
            ("not mapped", f"{len(graph.unmapped)} nodes" if graph.unmapped else None),
        ]
    if measured := outcome.measurement:
        latency = measured.latency
        fields += [
            ("latency", f"{latency.median_ms:.3f} ms (95 % interval {latency.low_ms:.3f} to {latency.high_ms:.3f})"),
            ("p90, p99", " ".join(f"{p:.3f} ms" if p else "too few samples" for p in (latency.p90_ms, latency.p99_ms))),
            ("throughput", f"{measured.throughput:.1f} a second"),
            ("first", f"{measured.first_ms:.1f} ms after {measured.load_ms:.0f} ms of loading"),
            ("peak memory", size(measured.peak_memory_bytes)),
            *gpu_fields(measured.gpu),
        ]
    if parity := outcome.parity:
        worst = parity.worst_output
        verdict = "NOT on par" if parity.on_par is False else parity.verdict
        fields.append(
            ("parity", f"{verdict} with {parity.reference}" + (f": worst is {worst.name}, {parity_text(worst)}" if worst else ""))
        )
        fields.append(("compared on", parity.inputs))
        if parity.accuracy and parity.reference_accuracy:
            found, source = parity.accuracy, parity.reference_accuracy
            fields.append(
                ("accuracy", f"top-1 {found.top1:.2%} of {found.samples} samples; the source model has {source.top1:.2%}")
            )
    realized = compare_precisions(graph, request.precision) if graph else None
    fields.append(("realized", realized.summary if realized else None))
    lowered = outcome.prepared.precision if outcome.prepared else None
    print_fields(f"{outcome.model.name} → {request.path}", [*fields, *(precision_fields(lowered) if lowered else [])])
    if lowered:
        print_precision(lowered)
    for record in build.stages:
        if record.error:
            stderr.print(f"[bold red]{record.stage.value}:[/bold red] {record.error}", highlight=False)
    told = (*measured.warnings, *(measured.gpu.warnings if measured.gpu else ())) if measured else ()
    disagreements = [pair.warning for pair in realized.disagreements] if realized else []
    print_notes(list(dict.fromkeys([*told, *outcome.notes, *disagreements, *(parity.notes if parity else ())])))


def _show_payoff(workspace: Workspace, outcome: Outcome) -> None:
    """Whether the precision paid, where the same path was built in FP32 before."""
    request = outcome.build.request
    if request.precision is Precision.FP32 or outcome.measurement is None:
        return
    wide = [build.key for build in all_builds(workspace) if is_measure_for(build.request, request)]
    paid = payoff_of(candidate_from(outcome), (candidate_from(load_outcome(workspace, key)) for key in wide))
    print_notes([paid.text if paid else "Build the same path in fp32 too, and this tells whether the precision pays."])


def gpu_fields(gpu: GpuTimes | None) -> list[tuple[str, object]]:
    """The GPU's own times, a line for each way they were taken."""
    if gpu is None:
        return []
    runs = [
        (f"GPU, {run.title}", f"{run.compute.median_ms:.3f} ms computing, {run.throughput:.1f} runs a second") for run in gpu.runs
    ]
    host = [(f"page-locked, {how}", f"{latency.median_ms:.3f} ms host to host") for how, latency in gpu.host_to_host.items()]
    streams = ", ".join(f"{point.streams}: {point.throughput:.1f}" for point in gpu.streams)
    return [*runs, *host, ("runs a second by streams", streams), ("batch knee", gpu.knee)]


def parity_text(output: OutputParity) -> str:
    """The figures of one output in a phrase."""
    if output.mismatch:
        return output.mismatch
    parts = []
    if output.max_rel is not None:
        parts.append(f"relative error {output.max_rel:.1e}")
    if output.cosine is not None:
        parts.append(f"cosine {output.cosine:.6f}")
    if output.top1 is not None:
        parts.append(f"top-1 agrees {output.top1:.1%}")
    if output.non_finite:
        parts.append(f"{output.non_finite} NaN or infinite")
    return ", ".join(parts) or "nothing to compare"


def builds_command(json: AsJson = False) -> None:
    """List the stored builds, newest first."""
    workspace = default_workspace()
    found = all_builds(workspace)
    if json:
        print_json(found)
        return
    names = {model.digest: model.name for model in workspace.all_models()}
    rows = [
        (b.key[:12], names.get(b.request.model, b.request.model[:12]), b.request.path, b.request.precision.value, b.state.value)
        for b in found
    ]
    print_table("", ["build", "model", "path", "precision", "state"], rows)


def layers_command(
    build: Annotated[str, typer.Argument(help="Key of a build, or its beginning.")],
    json: AsJson = False,
) -> None:
    """Show a built engine's layers, and the source nodes fused into each."""
    outcome = load_outcome(default_workspace(), build)
    graph = require(outcome.graph)
    if json:
        print_json(graph)
        return
    rows = [
        (
            n,
            layer.kind,
            layer.kernel,
            layer.precision,
            f"{layer.time_ms:.3f}" if layer.time_ms is not None else None,
            " ".join(layer.source_nodes),
        )
        for n, layer in enumerate(graph.layers, 1)
    ]
    print_table(f"{len(rows)} layers", ["", "kind", "kernel", "precision", "ms", "source nodes"], rows, numbers=["", "ms"])
    if graph.loose_nodes:
        loose = [(node.fate.value, node.op, node.name, node.reason) for node in graph.loose_nodes]
        print_table("Nodes in no layer", ["fate", "op", "node", "why"], loose)
    print_notes(graph.notes)


def bench_command(
    build: Annotated[str, typer.Argument(help="Key of a finished build, or its beginning; `engineroom builds` lists them.")],
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Measure so many times, each in a fresh process.")] = 3,
    json: AsJson = False,
) -> None:
    """Measure a built engine again, several times, and show how far the medians spread."""
    workspace = default_workspace()
    key = load_outcome(workspace, build).build.key
    found: list[Measurement] = []
    with progress_bar("Measuring") as report:
        for _ in range(repeats):
            run_stage(StageName.MEASURE, workspace.build_folder(key), report)
            found.append(require(load_outcome(workspace, key).measurement))
    if json:
        print_json(found)
        return
    rows = [
        (
            n,
            f"{m.latency.median_ms:.3f}",
            f"{m.latency.low_ms:.3f} to {m.latency.high_ms:.3f}",
            m.latency.samples,
            " ".join(m.warnings),
        )
        for n, m in enumerate(found, 1)
    ]
    print_table("", ["run", "median ms", "95 % interval", "samples", "warnings"], rows, numbers=["run", "median ms", "samples"])
    medians = [m.latency.median_ms for m in found]
    print_fields("Spread of the medians", [("largest over smallest", f"{max(medians) / min(medians):.3f}")])
