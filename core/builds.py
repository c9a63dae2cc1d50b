"""Builds as stored: what was asked, how each stage went, and what was found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeVar

from core.benchmark.measurement import Measurement
from core.errors import NotFound
from core.graph.engine_graph import EngineGraph
from core.models.model import Model
from core.parity.result import Parity
from core.request import BuildRequest
from core.serialization import read_json
from core.stages.build import Built
from core.stages.stage import PREPARING_STAGES, Prepared, StageName, result_file
from core.workspace import Workspace

T = TypeVar("T")

BUILD_FILE = "record.json"


class State(str, Enum):
    """Of a build or of one of its stages."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """How one stage went; `error` is `error_to_dict`'s, `started_at` seconds since the epoch."""

    stage: StageName
    state: State = State.WAITING
    started_at: float | None = None
    seconds: float | None = None
    error: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build as stored: what was asked, and how each stage went."""

    key: str
    request: BuildRequest
    state: State
    stages: tuple[StageRecord, ...]
    created_at: float
    finished_at: float | None = None

    @property
    def error(self) -> dict[str, str] | None:
        """Why it failed, or what an optional stage could not do."""
        return next((record.error for record in self.stages if record.error), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A build with everything its stages found; None where a stage has left nothing.

    Attributes:
        prepared: The model as the latest preparing stage left it.
        preparations: The same of every preparing stage, in order.
    """

    build: Build
    model: Model
    prepared: Prepared | None = None
    preparations: dict[StageName, Prepared] = field(default_factory=dict)
    built: Built | None = None
    graph: EngineGraph | None = None
    parity: Parity | None = None
    measurement: Measurement | None = None

    @property
    def versions(self) -> dict[str, str]:
        """Of the packages that prepared the model and built the engine."""
        told = {name: version for prepared in self.preparations.values() for name, version in prepared.versions.items()}
        return told | (self.built.engine.versions if self.built else {})

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences of the preparing stages and of the engine, each once."""
        prepared = self.prepared.notes if self.prepared else ()
        return tuple(dict.fromkeys((*prepared, *(self.built.engine.notes if self.built else ()))))

    @property
    def stamp(self) -> str:
        """Why nobody is to deploy it, whether the graph or the engine was quantized; empty where nothing speaks against it."""
        record = self.prepared.precision if self.prepared else None
        told = (record.stamp if record else "", *self.notes)
        return next((text for text in told if text.lower().startswith("uncalibrated")), "")


def load_outcome(workspace: Workspace, key: str) -> Outcome:
    """Everything known of a stored build.

    Raises:
        NotFound: No build has that key, or several begin so.
    """
    found = sorted(workspace.builds.glob(f"{key}*/{BUILD_FILE}")) if key.isalnum() else []
    if len(found) != 1:
        what = "No build is" if not found else "Several builds are"
        raise NotFound(f"{what} stored as {key!r}.", hint="`engineroom builds` lists what is stored.")
    build, folder = read_json(Build, found[0]), found[0].parent

    left = {stage: _result(folder, stage, Prepared) for stage in reversed(PREPARING_STAGES)}
    preparations = {stage: prepared for stage, prepared in left.items() if prepared}
    return Outcome(
        build=build,
        model=workspace.model(build.request.model),
        prepared=next(reversed(preparations.values()), None),
        preparations=preparations,
        built=_result(folder, StageName.BUILD, Built),
        graph=_result(folder, StageName.INSPECT, EngineGraph),
        parity=_result(folder, StageName.PARITY, Parity),
        measurement=_result(folder, StageName.MEASURE, Measurement),
    )


def _result(folder: Path, stage: StageName, kind: type[T]) -> T | None:
    path = result_file(folder, stage)
    return read_json(kind, path) if path.exists() else None


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
