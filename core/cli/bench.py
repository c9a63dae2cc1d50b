"""`bench`: a built engine measured again."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from core.analysis.summary import devices_text
from core.base.errors import Cancelled, Unavailable
from core.base.progress import Progress
from core.base.serialization import to_data
from core.base.units import digest, interval, milliseconds
from core.benchmark.measurement import Measurement
from core.benchmark.weakness import words
from core.cli.models import AsJson
from core.cli.output import print_fields, print_json, print_notes, print_table, progress_bar
from core.cli.requests import IN_USE
from core.jobs.device import exclusive, parse_device
from core.stages.child import run_stage
from core.stages.elsewhere import REPEATS, middle, middle_of, run_engine
from core.stages.outcome import load_outcome
from core.storage.builds import Build, Run, State
from core.storage.workspace import Workspace, default_workspace


def register(app: typer.Typer) -> None:
    app.command("bench")(bench_command)


def bench_command(
    build: Annotated[str, typer.Argument(help="Key of a finished build, or its beginning; `engineroom builds` lists them.")],
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Measure so many times, each in a fresh process.")] = REPEATS,
    json: AsJson = False,
) -> None:
    """Measure a built engine again, several times, show how far the medians spread, and keep the middle one with the build."""
    workspace = default_workspace()
    asked = load_outcome(workspace, build).build
    key = asked.key
    if asked.not_run or asked.ran_elsewhere:
        raise Unavailable(
            f"Build {digest(key)} cannot be measured here: it is {devices_text(asked)}.",
            hint=f"`engineroom run {digest(key)}{' --again' if asked.ran_elsewhere else ''}` has a worker run it where it can.",
        )
    found, run = _measured_again(workspace, asked, repeats)
    if run.state is State.CANCELLED:
        raise Cancelled("Measuring was stopped.", hint="The build keeps the figure that it had.")
    if run.error:
        raise run.error.to_error()
    kept = middle(found)
    if json:
        print_json([{**to_data(one), "weaknesses": to_data(one.weaknesses)} for one in found])
        return
    rows = [
        (
            n,
            milliseconds(m.latency.median_ms, 4),
            interval(m.latency.low_ms, m.latency.high_ms),
            m.latency.samples,
            words(m.weaknesses) or None,
            " ".join(m.warnings),
        )
        for n, m in enumerate(found, 1)
    ]
    print_table("", ["run", "median", "95 % interval", "samples", "weak", "warnings"], rows, numbers=["run", "median", "samples"])
    medians = [m.latency.median_ms for m in found]
    print_fields("Spread of the medians", [("largest over smallest", f"{max(medians) / min(medians):.3f}")])
    which = f"Run {kept + 1}, the middle one of {repeats}," if repeats > 1 else "This run"
    print_notes([f"{which} is the build's measurement now, in place of the one that it had."])


def _measured_again(workspace: Workspace, build: Build, repeats: int) -> tuple[list[Measurement], Run]:
    """Measures while nobody else has the device; the build has the middle one where all were taken to their end."""
    folder, device = workspace.build_folder(build.key), parse_device(build.request.device)
    found: list[Measurement] = []
    with progress_bar("Measuring") as report:

        def show(run: Run, progress: Progress | None) -> None:
            if progress:
                report(progress)

        with exclusive(device, lambda: report(Progress(message=IN_USE))):
            runner = middle_of(partial(run_stage, build=folder), repeats, found)
            run = run_engine(workspace, build.key, device.place, on_change=show, runner=runner, again=True)
    return found, run
