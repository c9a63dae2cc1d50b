"""Builds as stored: what was asked, how each stage went, and what was found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from core.base.errors import Failure
from core.base.serialization import read_json
from core.request.build_request import BuildRequest
from core.storage.workspace import Workspace

BUILD_FILE = "record.json"
REQUEST_FILE = "request.json"


class StageName(str, Enum):
    CONVERT = "convert"
    SIMPLIFY = "simplify"
    PRECISION = "precision"
    BUILD = "build"
    INSPECT = "inspect"
    REFERENCE = "reference"
    PARITY = "parity"
    MEASURE = "measure"


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
class Build:
    """A build as stored: what was asked, and how each stage went.

    Attributes:
        not_run: Why the engine was not run where it was built: "not run here: it runs on cuda"; empty when it was to be.
    """

    key: str
    request: BuildRequest
    state: State
    stages: tuple[StageRecord, ...]
    created_at: float
    finished_at: float | None = None
    not_run: str = ""

    @property
    def settled(self) -> bool:
        """Done, and nothing of it is tried again when it is asked for again: a failed measuring is."""
        return self.state is State.DONE and not measuring_failed(self.stages)

    def missing(self, stage: StageName) -> str:
        """Why a stage that has left nothing did not, in a phrase: it is not run here, it failed, or its turn has not come."""
        record = next((record for record in self.stages if record.stage is stage), None)
        if self.not_run and record is None:
            return self.not_run
        return f"its stage failed: {record.error.message}" if record and record.error else "its stage has not run"

    @property
    def error(self) -> Failure | None:
        """Why it failed, or what an optional stage could not do."""
        return next((record.error for record in self.stages if record.error), None)


def engine_artifact(folder: Path) -> str | None:
    """Key of the engine that a build's folder names; None without one, or with one of another release."""
    try:
        key = json.loads(result_file(folder, StageName.BUILD).read_text(encoding="utf-8")).get("artifact")
    except (OSError, ValueError, AttributeError):
        return None
    return key if isinstance(key, str) else None


def all_builds(workspace: Workspace) -> list[Build]:
    """Every stored build, newest first."""
    builds = [read_json(Build, path) for path in workspace.builds.glob(f"*/{BUILD_FILE}")]
    return sorted(builds, key=lambda build: build.created_at, reverse=True)
