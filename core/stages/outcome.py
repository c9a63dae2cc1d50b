"""A build with everything its stages found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from core.base.errors import NotFound
from core.base.serialization import read_json
from core.benchmark.measurement import Measurement
from core.graph.engine_graph import EngineGraph
from core.models.model import Model
from core.parity.result import Parity
from core.stages.build import Built
from core.stages.stage import PREPARING_STAGES, Prepared
from core.storage.builds import BUILD_FILE, Build, StageName, result_file
from core.storage.workspace import Workspace

T = TypeVar("T")


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
