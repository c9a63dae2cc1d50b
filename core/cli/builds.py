"""`build`, `compare`, `bench`, `layers`, `builds`: engines and their figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.backends.base import OptionValue, backend_named
from core.benchmark.measurement import Protocol
from core.builds import Build, Outcome, State, all_builds, load_outcome
from core.cli.models import AsJson, ModelArgument, stored_model
from core.cli.output import print_fields, print_json, print_notes, print_table, progress_bar, size, stderr
from core.errors import InvalidRequest, error_from_dict
from core.models.profile import parse_profile
from core.pipeline import run_build
from core.precision.kinds import Precision
from core.progress import Progress
from core.request import BuildRequest, backend_and_variant, checked
from core.stages.child import run_stage
from core.stages.stage import StageName
from core.userdata import store_data
from core.workspace import Workspace, default_workspace

PARITY_FAILED = 11

Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", help="Length of a dynamic axis: batch=8, or batch=1:8:32 as min:opt:max (repeatable)."),
]
Options = Annotated[list[str] | None, typer.Option("--option", "-o", help="A knob of the backend: name=value (repeatable).")]
SignatureName = Annotated[str | None, typer.Option("--signature", help="Which callable of the model.")]
Inputs = Annotated[Path | None, typer.Option("--inputs", help="Your own inputs for parity: an .npz keyed by input name.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the runtime; all cores when not given.")]
Seconds = Annotated[float, typer.Option("--seconds", min=0.1, help="Measure latency for at least so long.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the random inputs.")]
Force = Annotated[bool, typer.Option("--force", help="Build again although it was built before.")]


def register(app: typer.Typer) -> None:
    app.command("build")(build_command)
    app.command("compare")(compare_command)
    app.command("bench")(bench_command)
    app.command("layers")(layers_command)
    app.command("builds")(builds_command)


def read_options(path_id: str, texts: list[str] | None) -> dict[str, OptionValue]:
    """`name=value` texts as values of the type that the backend's option has.

    Raises:
        InvalidRequest: A text has no such form, or the value is of another type.
    """
    known = {option.name: option for option in backend_named(backend_and_variant(path_id)[0]).options}
    found: dict[str, OptionValue] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f"Could not read the option {text!r}.", hint="Write name=value.")
        default = known[name].default if name in known else ""
        try:
            found[name] = value.lower() in ("1", "true", "yes", "on") if isinstance(default, bool) else type(default)(value)
        except ValueError:
            raise InvalidRequest(f"{name} takes a {type(default).__name__}, not {value!r}.") from None
    return found


def run_in_foreground(workspace: Workspace, request: BuildRequest, *, force: bool = False) -> Outcome:
    """Builds with a progress bar; a failed build is an Outcome too."""
    with progress_bar(request.path) as report:

        def show(build: Build, progress: Progress | None) -> None:
            running = next((record.stage.value for record in build.stages if record.state is State.RUNNING), None)
            if running:
                message = f"{running}: {progress.message}" if progress else running
                report(Progress(message=message, fraction=progress.fraction if progress else None))

        build = run_build(workspace, request, on_change=show, force=force)
    return load_outcome(workspace, build.key)


def exit_code(outcome: Outcome) -> int:
    """0 when built and on par, PARITY_FAILED when built and not, else the error's."""
    if outcome.build.state is State.CANCELLED:
        return 9
    if outcome.build.state is State.FAILED and outcome.build.error:
        return error_from_dict(outcome.build.error).exit_code
    return 0 if outcome.parity is None or outcome.parity.passed else PARITY_FAILED


def build_command(
    model: ModelArgument,
    path: Annotated[str, typer.Option("--path", "-p", help="Which path, as `engineroom paths` lists them.")],
    precision: Annotated[Precision, typer.Option("--precision")] = Precision.FP32,
    shape: Shapes = None,
    option: Options = None,
    signature: SignatureName = None,
    inputs: Inputs = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Threads = None,
    seconds: Seconds = Protocol().min_seconds,
    seed: Seed = 0,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Build one engine in the foreground, then show its size, latency, parity and layers."""
    workspace = default_workspace()
    found = stored_model(workspace, model)
    request = BuildRequest(
        model=found.digest,
        path=path,
        precision=precision,
        signature=signature,
        profile=parse_profile(shape or []),
        options=read_options(path, option),
        inputs=store_data(workspace, inputs) if inputs else None,
        device=device,
        threads=threads,
        protocol=Protocol(min_seconds=seconds),
        seed=seed,
    )
    outcome = run_in_foreground(workspace, checked(request, found), force=force)
    if json:
        print_json(outcome)
    else:
        show_outcome(outcome)
    raise typer.Exit(exit_code(outcome))


def show_outcome(outcome: Outcome) -> None:
    """One build as a page of text."""
    build, request = outcome.build, outcome.build.request
    fields: list[tuple[str, object]] = [
        ("build", build.key[:12]),
        ("state", build.state.value),
        ("precision", request.precision.value),
        ("device", request.device),
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
        ]
    if parity := outcome.parity:
        worst = next(output for output in parity.outputs if output.name == parity.worst)
        verdict = "on par" if parity.passed else "NOT on par"
        fields.append(("parity", f"{verdict} with {parity.reference}: worst is {worst.name}, {parity_text(worst)}"))
        fields.append(("compared on", parity.inputs))
    print_fields(f"{outcome.model.name} → {request.path}", fields)
    for record in build.stages:
        if record.error:
            stderr.print(
                f"[bold red]{record.stage.value}:[/bold red] {record.error['message']} {record.error['hint']}", highlight=False
            )
    print_notes([*(measured.warnings if measured else ()), *(outcome.prepared.notes if outcome.prepared else ())])


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


def require(found: T | None) -> T:
    """What a build has.

    Raises:
        NotFound: That stage has not finished.
    """
    if found is None:
        raise NotFound("That build has no such result.", hint="It failed or is not finished: see `engineroom builds`.")
    return found
