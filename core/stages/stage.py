"""The stages of a build, in order, and what each may count on.

    convert -> simplify -> precision -> build -> inspect -> reference -> parity -> measure

The first three pass a model on (`Prepared`), `build` leaves the engine, the rest look at it. Every stage reads the
results of those before it from the build's folder and leaves its own there as `<stage>.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from core.base.errors import NotFound
from core.base.progress import Report
from core.base.serialization import read_json
from core.base.tensors import Signature
from core.models.model import Format, Model, Source
from core.precision.record import PrecisionRecord
from core.request.build_request import BuildRequest
from core.storage.builds import StageName, result_file
from core.storage.store import Kind, Store
from core.storage.workspace import Workspace

T = TypeVar("T")


# A build without these still is an engine: when one fails, the build goes on and says so.
OPTIONAL_STAGES = frozenset({StageName.INSPECT, StageName.REFERENCE, StageName.PARITY})

# Stages that hand a model on, last first: the build starts from the latest that ran.
PREPARING_STAGES = (StageName.PRECISION, StageName.SIMPLIFY, StageName.CONVERT)

# Exported networks can have tens of thousands of folded nodes, and a build's record is read whole.
MOST_NAMES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The model as one stage hands it to the next.

    Attributes:
        artifact: Key of the artifact that holds it; None for the stored model itself.
        entry: Main file below that artifact or below the model's content.
        reused: It was there already, from an earlier build.
        made_seconds: What making it took, from the stored model on, whenever that was.
        details: What the stage changed, for people: rows of name and value.
        changed: Names of nodes by what became of them ("folded"), at most MOST_NAMES of each kind.
        notes: Of every stage so far.
        precision: What the precision stage did; None from the others.
    """

    artifact: str | None
    entry: str
    format: Format
    signature: Signature
    reused: bool = False
    made_seconds: float = 0.0
    ops: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    changed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    precision: PrecisionRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """What a stage works with.

    Attributes:
        folder: The build's own folder.
        store: Where other hosts share what they made; None without one.
    """

    workspace: Workspace
    folder: Path
    request: BuildRequest
    model: Model
    report: Report
    store: Store | None = None

    def make_artifact(self, key: str, make: Callable[[Path], None]) -> Path:
        """The artifact's folder: as it is here, as another host left it in the store, or made by `make`.

        Raises:
            StoreFailed: The workspace is full or not writable, or the store failed.
        """
        if self.store and not self.workspace.artifact(key):
            self.store.pull(self.workspace, Kind.ARTIFACT, key)
        return self.workspace.make_artifact(key, make)

    def result(self, stage: StageName, kind: type[T]) -> T:
        """What an earlier stage left.

        Raises:
            NotFound: It has not run.
        """
        path = result_file(self.folder, stage)
        if not path.exists():
            raise NotFound(f"Stage {stage.value} has left no result.", hint="Run the build again.")
        return read_json(kind, path)

    @property
    def prepared(self) -> Prepared:
        """The model as the latest preparing stage left it; the stored model when none has run."""
        for stage in PREPARING_STAGES:
            if result_file(self.folder, stage).exists():
                return self.result(stage, Prepared)
        return Prepared(
            artifact=None,
            entry=self.model.entry,
            format=self.model.format,
            signature=self.model.signature(self.request.signature),
            ops=self.model.ops,
        )

    def source(self, prepared: Prepared) -> Source:
        """Where that model lies.

        Raises:
            NotFound: Its artifact was deleted meanwhile.
        """
        if prepared.artifact is None:
            base = self.workspace.model_folder(self.model.digest) / "content"
        elif (found := self.workspace.artifact(prepared.artifact)) is not None:
            base = found
        else:
            raise NotFound("An intermediate model of this build was deleted.", hint="Run the build again.")
        return Source(path=base / prepared.entry, format=prepared.format, signature=prepared.signature)
