"""Carries a build out: which stages it needs, and running them in order."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from core.backends.base import backend_named
from core.base.availability import Availability, availability_of
from core.base.errors import Cancelled, EngineRoomError, Failure
from core.base.gpus import RunsOn
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.request.running import not_run_here, runs_elsewhere
from core.stages.all_stages import all_stages
from core.stages.child import run_stage
from core.stages.stage import Task
from core.storage.builds import BUILD_FILE, REQUEST_FILE, Build, Place, StageName, StageRecord, State, engine_artifact
from core.storage.rebuilds import remember
from core.storage.workspace import Workspace

StageRunner = Callable[[StageName, Path, Report], None]
OnChange = Callable[[Build, Progress | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a build will do.

    Attributes:
        not_run: Why nothing is run here: "not run here: it runs on cuda"; empty when the engine runs where it is built.
        runs_on: What it runs on instead.
    """

    stages: tuple[StageName, ...]
    not_run: str = ""
    runs_on: RunsOn | None = None


def plan(request: BuildRequest, model: Model, offer: Availability | None = None) -> Plan:
    """The stages that a request needs; what runs the engine is left out where it does not run, and its reference is not.

    Args:
        offer: The backend's availability where it will be built; None for this machine's.
    """
    backend = backend_named(request.backend)
    runs_on = runs_elsewhere(backend, request.device, offer or availability_of(backend), request.options)
    task = Task(request=request, model=model, runs=runs_on is None)
    stages = tuple(name for name, stage in all_stages().items() if stage.when(task))
    return Plan(stages=stages, not_run=not_run_here(runs_on), runs_on=runs_on)


def open_build(workspace: Workspace, request: BuildRequest, *, planned: Plan | None = None, force: bool = False) -> Build:
    """The stored build of a checked request, made if there is none; `force` forgets what an earlier one left.

    A build that was cut off goes on where it stopped: finished stages stay finished.

    Args:
        planned: As `plan` told; it is asked when nothing is given.
    """
    folder = workspace.build_folder(request.key)
    if force:
        forget_build(workspace, request.key)
    if (folder / BUILD_FILE).exists():
        return read_json(Build, folder / BUILD_FILE)
    planned = planned or plan(request, workspace.model(request.model))
    build = Build(
        key=request.key,
        request=request,
        state=State.WAITING,
        stages=tuple(StageRecord(stage=stage) for stage in planned.stages),
        created_at=time.time(),
        not_run=planned.not_run,
        runs_on=planned.runs_on,
    )
    write_json(folder / REQUEST_FILE, request)
    write_json(folder / BUILD_FILE, build)
    return build


def forget_build(workspace: Workspace, key: str) -> None:
    """Deletes a build's folder and its engine; models that other builds share stay, and so does what it had measured."""
    remember(workspace, key)
    folder = workspace.build_folder(key)
    if engine := engine_artifact(folder):
        shutil.rmtree(workspace.artifacts / engine, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def run_build(
    workspace: Workspace,
    request: BuildRequest,
    *,
    on_change: OnChange,
    runner: StageRunner = run_stage,
    planned: Plan | None = None,
    force: bool = False,
    place: Place | None = None,
) -> Build:
    """Runs the stages that are not done yet and returns the finished build; a failure is told in it, not raised.

    Args:
        request: As `core.request.build_request.checked` returned it.
        on_change: Called after each change of a stage, and with each stage's progress.
        runner: Runs one stage to its end, raising EngineRoomError; Cancelled ends the build as cancelled.
        planned: See `open_build`.
        place: Where this is, for the record.
    """
    build = open_build(workspace, request, planned=planned, force=force)
    if build.settled:
        return build
    folder = workspace.build_folder(build.key)
    again = tuple(record if record.state is State.DONE else StageRecord(stage=record.stage) for record in build.stages)
    build = replace(build, state=State.RUNNING, stages=again, finished_at=None)
    if place and any(record.stage is StageName.BUILD and record.state is not State.DONE for record in again):
        build = replace(build, built_on=place)

    def update(record: StageRecord) -> Build:
        stages = tuple(record if old.stage is record.stage else old for old in build.stages)
        changed = replace(build, stages=stages, state=_state(stages))
        if changed.state is not State.RUNNING:
            changed = replace(changed, finished_at=time.time())
        write_json(folder / BUILD_FILE, changed)
        on_change(changed, None)
        return changed

    for stage in [record.stage for record in build.stages if record.state is not State.DONE]:
        started = StageRecord(stage=stage, state=State.RUNNING, started_at=time.time())
        build = running = update(started)
        ended = carried_out(runner, started, folder, partial(on_change, running))
        build = update(ended)
        if build.state is not State.RUNNING:
            break
    return build


def carried_out(runner: StageRunner, started: StageRecord, folder: Path, report: Report) -> StageRecord:
    """A stage's record once it was run to its end, whatever that is."""
    clock = time.perf_counter()
    state, error = State.DONE, None
    try:
        runner(started.stage, folder, report)
    except (KeyboardInterrupt, Cancelled):
        state = State.CANCELLED
    except EngineRoomError as failure:
        state, error = State.FAILED, Failure.of(failure)
    return replace(started, state=state, error=error, seconds=round(time.perf_counter() - clock, 3))


def _state(stages: tuple[StageRecord, ...]) -> State:
    """Of a build whose stages have gone so far."""
    if any(record.state is State.CANCELLED for record in stages):
        return State.CANCELLED
    if any(record.state is State.FAILED and not all_stages()[record.stage].optional for record in stages):
        return State.FAILED
    return State.RUNNING if any(record.state in (State.WAITING, State.RUNNING) for record in stages) else State.DONE
