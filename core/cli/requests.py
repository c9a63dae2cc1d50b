"""What `build`, `compare` and `submit` share: the options of a request, and running it in the foreground."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from core.backends.base import OptionValue, backend_named, known_option
from core.base.availability import availability_of
from core.base.errors import InvalidRequest, NotFound
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import Progress
from core.benchmark.measurement import Protocol
from core.cli.output import progress_bar, stderr
from core.jobs.device import exclusive, parse_device
from core.jobs.queue import Queue
from core.models.model import Model
from core.parity.inputs import parse_ranges
from core.precision.settings import parse_settings
from core.request.build_request import BuildRequest, checked
from core.request.paths import parse_path
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import Build, StageName, State
from core.storage.store import STORE_VARIABLE
from core.storage.userdata import store_data
from core.storage.workspace import Workspace

T = TypeVar("T")

PARITY_FAILED = 11
NOT_CHECKED = 13
IN_USE = "waiting for the device: another build is at it"
DEFAULT_PROTOCOL = Protocol()

Force = Annotated[bool, typer.Option("--force", help="Build again although it was built before.")]
RunElsewhere = Annotated[
    bool,
    typer.Option("--run-elsewhere", help="An engine that does not run where it is built is run by a worker where it can."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """What every command that builds may be told besides model, path and precision; the options' own help says what each is."""

    shape: Annotated[
        list[str] | None,
        typer.Option("--shape", help="Length of a dynamic axis: batch=8, or batch=1:8:32 as min:opt:max (repeatable)."),
    ] = None
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="A knob of the backend: name=value (repeatable).")
    ] = None
    signature: Annotated[str | None, typer.Option("--signature", help="Which callable of the model.")] = None
    lower: Annotated[
        list[str] | None,
        typer.Option(
            "--lower", help="How the precision is put in: percentile=99.999, keep_ops=Softmax, max_rel=0.01 (repeatable)."
        ),
    ] = None
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Data for INT8 and FP8: .npz, .npy, a folder of them, or of images.")
    ] = None
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--inputs",
            help="Your own inputs: an .npz keyed by input name, `labels` may be in it; or a folder of images, by class.",
        ),
    ] = None
    ranges: Annotated[list[str] | None, typer.Option("--range", help="Of a random input: input_ids=0:30522 (repeatable).")] = None
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda; when not given, the first that the path's backend has here.")
    ] = None
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the runtime; all cores when not given.")] = (
        None
    )
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Measure latency for at least so long.")] = (
        DEFAULT_PROTOCOL.min_seconds
    )
    seed: Annotated[int, typer.Option("--seed", help="Of the random inputs.")] = 0


def make_request(
    workspace: Workspace, model: Model, path: str, precision: Precision, options: RequestOptions, *, here: bool = True
) -> BuildRequest:
    """The checked request that these options ask for.

    Args:
        here: It is to run on this machine; False for a worker elsewhere.

    Raises:
        InvalidRequest: An option does not fit the model or the backend.
        Unavailable: The path does not work here.
    """
    request = BuildRequest(
        model=model.digest,
        path=path,
        precision=precision,
        signature=options.signature,
        profile=parse_profile(options.shape or []),
        options=read_options(path, options.option),
        lowering=parse_settings(options.lower or []),
        calibration=store_data(workspace, options.calibration) if options.calibration else None,
        inputs=store_data(workspace, options.inputs) if options.inputs else None,
        ranges=parse_ranges(options.ranges or []),
        device=options.device or next(iter(availability_of(backend_named(parse_path(path).backend)).builds_on), "cpu"),
        threads=options.threads,
        protocol=Protocol(min_seconds=options.seconds),
        seed=options.seed,
    )
    return checked(request, model, here=here)


def read_options(path_id: str, texts: list[str] | None) -> dict[str, OptionValue]:
    """`name=value` texts as values of the type that the backend's option has.

    Raises:
        InvalidRequest: A text has no such form, the backend has no such option, or the value is of another type.
    """
    backend = backend_named(parse_path(path_id).backend)
    found: dict[str, OptionValue] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f"Could not read the option {text!r}.", hint="Write name=value.")
        found[name] = known_option(backend, name).read(value)
    return found


def bring_runs(workspace: Workspace) -> Workspace:
    """The workspace, with what runs elsewhere have found by now where hosts share a store."""
    if os.environ.get(STORE_VARIABLE):
        Queue(workspace).bring_runs()
    return workspace


def run_in_foreground(workspace: Workspace, request: BuildRequest, *, force: bool = False) -> Outcome:
    """Builds with a progress bar; a failed build is an Outcome too."""
    with progress_bar(request.path) as report:

        def show(build: Build, progress: Progress | None) -> None:
            running = next((record.stage.value for record in build.stages if record.state is State.RUNNING), None)
            if running and (stderr.is_terminal or progress is None):
                message = f"{running}: {progress.message}" if progress else running
                report(Progress(message=message, fraction=progress.fraction if progress else None))

        def wait() -> None:
            report(Progress(message=IN_USE))

        device = parse_device(request.device)
        with exclusive(device, wait):
            build = run_build(workspace, request, on_change=show, force=force, place=device.place)
    return load_outcome(workspace, build.key)


def exit_code(outcome: Outcome) -> int:
    """0 when built, measured and on par; PARITY_FAILED when not on par; NOT_CHECKED when nothing tells, as of one that does not
    run where it was built; else the error's.
    """
    if outcome.build.state is State.CANCELLED:
        return 9
    if outcome.build.state is State.FAILED and outcome.build.error:
        return outcome.build.error.to_error().exit_code
    for record in outcome.build.stages:
        if record.stage is StageName.MEASURE and record.error:
            return record.error.to_error().exit_code
    on_par = outcome.parity.on_par if outcome.parity else None
    return {True: 0, False: PARITY_FAILED, None: NOT_CHECKED}[on_par]


def require(found: T | None) -> T:
    """What a build has.

    Raises:
        NotFound: That stage has not finished.
    """
    if found is None:
        raise NotFound("That build has no such result.", hint="It failed or is not finished: see `engineroom builds`.")
    return found
