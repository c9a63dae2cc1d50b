"""Runs a stored build's engine: elsewhere than it was built, or again where its figures are from. See docs/decisions/0031."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.base.errors import InvalidRequest, NotFound
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.base.units import digest
from core.benchmark.measurement import Measurement
from core.graph.engine_graph import EngineGraph
from core.stages.pipeline import StageRunner, carried_out
from core.storage.builds import BUILD_FILE, Build, Place, Run, StageName, StageRecord, State, result_file
from core.storage.workspace import Workspace

# The reference is computed with the build; here only where that could not be done.
STAGES = (StageName.INSPECT, StageName.REFERENCE, StageName.PARITY, StageName.MEASURE)
# What measuring an engine again has to do, and how often, the one in the middle being kept: one run alone tells too little.
AGAIN = (StageName.MEASURE,)
REPEATS = 3
OnRun = Callable[[Run, Progress | None], None]


def run_stages(build: Build) -> tuple[StageName, ...]:
    """What a run of this build's engine has to do."""
    known = any(record.stage is StageName.REFERENCE and record.state is State.DONE for record in build.stages)
    return tuple(stage for stage in STAGES if not (known and stage is StageName.REFERENCE))


def run_engine(
    workspace: Workspace,
    key: str,
    place: Place,
    *,
    on_change: OnRun,
    runner: StageRunner,
    refresh: Callable[[], object] = lambda: None,
    again: bool = False,
) -> Run:
    """Runs a stored build's engine here; the build takes what was found when it was measured, all of it or nothing.

    Args:
        place: Where this is.
        again: Only measure it, where it was measured before: the new figure takes the place of the old one.
        on_change: Called after each change of a stage, and with each stage's progress.
        runner: Runs one stage to its end in the folder it is given, as a build's do.
        refresh: Brings the build as others know it, before it is changed.

    Raises:
        NotFound: The build is not here.
        InvalidRequest: It was made anew meanwhile.
    """
    build = _stored(workspace, key)
    folder = workspace.build_folder(key)
    if again:
        check_measurable(build)
    with workspace.partial_folder(f"run-{key[:12]}-") as scratch:
        _copy_results(folder, scratch, timed_before=build.run is not None)
        run = Run(
            place=place,
            state=State.RUNNING,
            stages=tuple(StageRecord(stage=stage) for stage in (AGAIN if again else run_stages(build))),
            built_at=build.created_at,
            started_at=time.time(),
        )
        for stage in [record.stage for record in run.stages]:
            started = StageRecord(stage=stage, state=State.RUNNING, started_at=time.time())
            run = _with(run, started)
            on_change(run, None)
            run = _with(run, carried_out(runner, started, scratch, partial(on_change, run)))
            on_change(run, None)
            if run.state is State.CANCELLED:
                return run
        refresh()
        now = _stored(workspace, key)
        if now.created_at != build.created_at:
            raise InvalidRequest("The build was made anew while its engine ran.", hint="Run it again.")
        (_take_measurement if again else _take)(now, run, scratch, folder)
    return run


def check_measurable(build: Build) -> None:
    """Whether a build's engine can be measured again.

    Raises:
        InvalidRequest: There is no engine, or nothing has run it yet.
    """
    name = digest(build.key)
    if build.state is not State.DONE:
        raise InvalidRequest(f"Build {name} has no engine to measure: it is {build.state.value}.", hint="Build it first.")
    if build.not_run:
        raise InvalidRequest(
            f"The engine of build {name} was not measured yet: {build.not_run}.",
            hint=f"`engineroom run {name}` has a worker run it where it can.",
        )


def middle_of(runner: StageRunner, repeats: int, found: list[Measurement] | None = None) -> StageRunner:
    """A runner that measures so many times, each in a fresh process, and leaves the one whose median is in the middle.

    Args:
        found: Gets each measurement as it is taken.
    """

    def run(stage: StageName, folder: Path, report: Report) -> None:
        taken: list[Measurement] = [] if found is None else found
        for number in range(repeats):

            def told(progress: Progress, number: int = number) -> None:
                fraction = (number + progress.fraction) / repeats if progress.fraction is not None else None
                report(Progress(message=f"{number + 1} of {repeats}: {progress.message}", fraction=fraction))

            runner(stage, folder, told)
            taken.append(read_json(Measurement, result_file(folder, stage)))
        write_json(result_file(folder, stage), taken[middle(taken)])

    return run


def middle(found: Sequence[Measurement]) -> int:
    """The position of the measurement whose median is the middle one; of two middle ones the slower."""
    return sorted(range(len(found)), key=lambda at: found[at].latency.median_ms)[len(found) // 2]


def _with(run: Run, record: StageRecord) -> Run:
    stages = tuple(record if old.stage is record.stage else old for old in run.stages)
    state = _state(stages)
    return replace(run, stages=stages, state=state, finished_at=None if state is State.RUNNING else time.time())


def _state(stages: tuple[StageRecord, ...]) -> State:
    """Of a run whose stages have gone so far; measuring comes last, and is what it is for."""
    if any(record.state is State.CANCELLED for record in stages):
        return State.CANCELLED
    measured = next(record.state for record in stages if record.stage is StageName.MEASURE)
    return measured if measured in (State.DONE, State.FAILED) else State.RUNNING


def _stored(workspace: Workspace, key: str) -> Build:
    path = workspace.build_folder(key) / BUILD_FILE
    if not path.exists():
        raise NotFound(f"Build {key[:12]} was deleted.", hint="Build it again.")
    return read_json(Build, path)


def _copy_results(folder: Path, scratch: Path, *, timed_before: bool) -> None:
    """What the build's stages left, for those of the run to read: they must not write into the build."""
    for file in folder.glob("*.json"):
        if file.name != BUILD_FILE:
            shutil.copyfile(file, scratch / file.name)
    layers = result_file(scratch, StageName.INSPECT)
    if timed_before and layers.exists():
        write_json(layers, read_json(EngineGraph, layers).with_times({}))  # should these fail, no other GPU's stay


def _take_measurement(build: Build, run: Run, scratch: Path, folder: Path) -> None:
    """Puts a measurement that was taken to its end into the build; of another nothing is kept."""
    if run.state is State.DONE:
        result_file(scratch, StageName.MEASURE).replace(result_file(folder, StageName.MEASURE))
        write_json(folder / BUILD_FILE, build.with_measured(run.stages[0]))


def _take(build: Build, run: Run, scratch: Path, folder: Path) -> None:
    """Puts the run into the build: its results and its record, or that it failed where none has succeeded yet."""
    if run.state is State.DONE:
        for record in run.stages:
            here, there = (result_file(one, record.stage) for one in (folder, scratch))
            if record.state is State.DONE or (record.stage is StageName.INSPECT and there.exists()):
                there.replace(here)
            elif record.stage is not StageName.REFERENCE:
                here.unlink(missing_ok=True)  # another run's
        write_json(folder / BUILD_FILE, replace(build, run=run, not_run=""))
    elif build.ran_elsewhere is None:
        write_json(folder / BUILD_FILE, replace(build, run=run))
