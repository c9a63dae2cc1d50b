"""Builds as stored: what was asked, how each stage went, and what was found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from core.base.errors import Failure
from core.base.gpus import RunsOn
from core.base.names import is_key
from core.base.serialization import read_json
from core.request.build_request import BuildRequest
from core.storage.workspace import Workspace

BUILD_FILE = "record.json"
REQUEST_FILE = "request.json"
WALLS_FILE = "walls.json"  # what stood around the model when its last stage ran


class StageName(str, Enum):
    CONVERT = "convert"
    SIMPLIFY = "simplify"
    PRECISION = "precision"
    BUILD = "build"
    INSPECT = "inspect"
    REFERENCE = "reference"
    PARITY = "parity"
    MEASURE = "measure"
    DUEL = "duel"


def result_file(folder: Path, stage: StageName) -> Path:
    return folder / f"{stage.value}.json"


class State(str, Enum):
    """Of a build or of one of its stages."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """How one stage went; `started_at` is in seconds since the epoch."""

    stage: StageName
    state: State = State.WAITING
    started_at: float | None = None
    seconds: float | None = None
    error: Failure | None = None


def measuring_failed(stages: Iterable[StageRecord]) -> bool:
    """Whether the engine is there without the figures that it was to have."""
    return any(record.stage is StageName.MEASURE and record.state is State.FAILED for record in stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A device of a host.

    Attributes:
        device: "cpu:0", "cuda:1".
        name: As the machine calls it: "NVIDIA L4".
        capability: A GPU's compute capability ("8.9"); None for others, and when it is not told.
    """

    host: str
    device: str
    name: str
    capability: str | None = None

    @property
    def text(self) -> str:
        """For people: "NVIDIA L4 (cuda:0, compute capability 8.9) of gpu-host"."""
        able = f", compute capability {self.capability}" if self.capability else ""
        return f"{self.name} ({self.device}{able}) of {self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An engine's run on another device than it was built on.

    Attributes:
        state: DONE when it was measured there; a run that failed takes nothing from the build.
        stages: Those that were carried out there.
        built_at: `Build.created_at` of the build whose engine it ran; one that is made anew has another.
        started_at, finished_at: Seconds since the epoch.
    """

    place: Place
    state: State
    stages: tuple[StageRecord, ...]
    built_at: float
    started_at: float
    finished_at: float | None = None

    @property
    def error(self) -> Failure | None:
        """Why it failed, or what one of its stages could not do; of several the last, as it is measured last."""
        return next((record.error for record in reversed(self.stages) if record.error), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build as stored: what was asked, and how each stage went.

    Attributes:
        not_run: Why nothing has run the engine yet: "not run here: it runs on cuda"; empty when it was to run where it was
            built, and once it was run elsewhere.
        runs_on: What it runs on, of an engine that does not run where it was built.
        built_on: Where it was built; None when it is not known.
        run: The run elsewhere that its figures are from; while there is none, the last that failed.
    """

    key: str
    request: BuildRequest
    state: State
    stages: tuple[StageRecord, ...]
    created_at: float
    finished_at: float | None = None
    not_run: str = ""
    runs_on: RunsOn | None = None
    built_on: Place | None = None
    run: Run | None = None

    @property
    def latest_at(self) -> float:
        """When it ended, or was begun where it has not; seconds since the epoch."""
        return self.finished_at or self.created_at

    @property
    def settled(self) -> bool:
        """Done, and nothing of it is tried again when it is asked for again: a failed measuring is."""
        return self.state is State.DONE and not measuring_failed(self.stages)

    @property
    def unrun(self) -> str:
        """Why nothing has run its engine; empty too where there is no engine to run, as the build failed or was cancelled."""
        return "" if self.state in (State.FAILED, State.CANCELLED) else self.not_run

    def missing(self, stage: StageName) -> str:
        """Why a stage that has left nothing did not, in a phrase: it is not run here, it failed, or its turn has not come."""
        if self.not_run and not any(record.stage is stage for record in self.stages):
            if not self.unrun:
                return f"the build was {self.state.value}" if self.state is State.CANCELLED else "the build failed"
            return f"{self.not_run}; {self.failed_run}" if self.failed_run else self.not_run
        if self.state is State.CANCELLED:
            return "the build was cancelled"
        record = next((record for record in self.all_stages if record.stage is stage), None)
        if record and record.error:
            return f"its stage failed: {record.error.message}"
        return "the build failed" if self.state is State.FAILED else "its stage has not run"

    @property
    def ran_elsewhere(self) -> Place | None:
        """Where its figures were taken, when that is not where it was built."""
        return self.run.place if self.run and self.run.state is State.DONE else None

    @property
    def ran_on(self) -> str:
        """The type of the device that its figures are from, or would be."""
        return self.ran_elsewhere.device.partition(":")[0] if self.ran_elsewhere else self.request.device

    @property
    def failed_run(self) -> str:
        """What became of the run elsewhere that failed, in a phrase; empty without one."""
        if self.run is None or self.run.state is State.DONE:
            return ""
        return f"on {self.run.place.text} it failed: {self.run.error.message if self.run.error else 'nothing tells why'}"

    @property
    def all_stages(self) -> tuple[StageRecord, ...]:
        """Its own stages, then those of the run elsewhere that its figures are from."""
        return (*self.stages, *(self.run.stages if self.run and self.ran_elsewhere else ()))

    def with_measured(self, record: StageRecord) -> Build:
        """The build with another record of its measuring, where its figures are from."""

        def taken(stages: tuple[StageRecord, ...]) -> tuple[StageRecord, ...]:
            return tuple(record if one.stage is record.stage else one for one in stages)

        if self.run and self.ran_elsewhere:
            return replace(self, run=replace(self.run, stages=taken(self.run.stages)))
        return replace(self, stages=taken(self.stages))

    @property
    def error(self) -> Failure | None:
        """Why it failed, which the stage tells that ended it; of one that is done, what an optional stage could not do."""
        stages = reversed(self.stages) if self.state is State.FAILED else self.stages
        return next((record.error for record in stages if record.error), None)


def engine_artifact(folder: Path) -> str | None:
    """Key of the engine that a build's folder names; None without one, or with one of another release."""
    return artifact_of(folder, StageName.BUILD)


def artifact_of(folder: Path, stage: StageName) -> str | None:
    """Key of the artifact that a stage has left; None without one, or with one of another release."""
    try:
        key = json.loads(result_file(folder, stage).read_text(encoding="utf-8")).get("artifact")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return key if isinstance(key, str) and is_key(key) else None


def all_builds(workspace: Workspace) -> list[Build]:
    """Every stored build, the one that ended last first; one that has not counts by its begin."""
    builds = [read_json(Build, path) for path in workspace.builds.glob(f"*/{BUILD_FILE}")]
    return sorted(builds, key=lambda build: build.latest_at, reverse=True)
