"""What a stage is, and what each may count on.

    convert -> simplify -> precision -> build -> inspect -> reference -> parity -> measure

The first three pass a model on (`Prepared`), `build` leaves the engine, the rest look at it. Every stage runs in a process of
its own, reads the results of those before it from the build's folder and leaves its own there as `<stage>.json`. One more,
`duel`, is no build's: an engine's part in a head-to-head.

A stage is a name in `StageName`, whose order is the stages' order, and a file of that name here with a `STAGE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, Generic, TypeVar

import core
from core.backends.base import Backend, backend_named
from core.base.children.call import Fetch
from core.base.errors import NotFound
from core.base.names import check_below, check_key
from core.base.progress import Report
from core.base.serialization import content_key, read_json, to_data
from core.base.tensors import Signature
from core.models.model import Format, Model, Source
from core.precision.record import PrecisionRecord
from core.request.build_request import BuildRequest
from core.request.paths import BuildPath, path_named
from core.storage.builds import StageName, result_file
from core.storage.workspace import Workspace

T = TypeVar("T")

# What stands before `build` hands a model on; the build starts from the latest that ran.
PREPARING_STAGES = tuple(takewhile(lambda name: name is not StageName.BUILD, StageName))

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

    def __post_init__(self) -> None:
        check_below(self.entry)
        if self.artifact is not None:
            check_key(self.artifact)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a build is about, as far as its plan asks.

    Attributes:
        runs: Whether the engine runs where it is built.
    """

    request: BuildRequest
    model: Model
    runs: bool = True

    @cached_property
    def path(self) -> BuildPath:
        return path_named(self.model, self.request.path)

    @property
    def backend(self) -> Backend:
        return backend_named(self.path.backend)

    @property
    def ends_in_onnx(self) -> bool:
        return self.path.formats[-1] is Format.ONNX

    @property
    def lowers(self) -> bool:
        """Whether a precision is put into the graph before the backend sees it."""
        return self.ends_in_onnx and self.request.precision.in_graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Names of the backends, the conversions and the tools that a stage works with."""

    backends: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


def needs_backend(task: Task) -> Needs:
    """Of the stages that work with the engine."""
    return Needs(backends=(task.request.backend,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides what a step makes.

    Attributes:
        origin: What it starts from: an artifact's key, or the model's digest.
        step: The step and its options, as JSON knows them.
        versions: Of the packages that make it, ours among them: a new version of any makes it anew.
    """

    origin: str
    step: dict[str, Any]
    versions: dict[str, str | None]

    @classmethod
    def of(cls, origin: str, step: Mapping[str, object], versions: Mapping[str, str | None]) -> Recipe:
        """With our own version added."""
        return cls(origin=origin, step=to_data(step), versions={"engine-room": core.__version__, **versions})

    @property
    def key(self) -> str:
        """Of what it makes."""
        return content_key({**self.step, "from": self.origin, "versions": self.versions})


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a step made, here or on another host, now or before.

    Attributes:
        reused: It was there already.
    """

    key: str
    folder: Path
    reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """What a stage works with.

    Attributes:
        folder: The build's own folder, or what a run elsewhere has in its place.
        device: Type of the device that the stage is on; "" for the one that the request names.
        fetch: Asked with each recipe that is about to be made: where it lies when it was made before, else None.
        next_turn: Told what the last turn of a head-to-head found, it waits for the next: its seconds, or None when it is over.
    """

    workspace: Workspace
    folder: Path
    request: BuildRequest
    model: Model
    report: Report
    device: str = ""
    fetch: Fetch = lambda recipe: None
    next_turn: Callable[[object], float | None] = lambda told: None

    def make_artifact(self, recipe: Recipe, make: Callable[[Path, str], None]) -> Artifact:
        """What the recipe makes: as it is here, as another host left it in the store, or made by `make(folder, key)`.

        Raises:
            StoreFailed: The workspace is full or not writable, or the store failed.
        """
        key = recipe.key
        made = False

        def make_here(folder: Path) -> None:
            nonlocal made
            made = True
            make(folder, key)

        if not self.workspace.artifact(key) and (found := self.fetch(to_data(recipe))):
            self.workspace.artifacts.mkdir(parents=True, exist_ok=True)
            (self.workspace.artifacts / key).symlink_to(found)
        folder = self.workspace.make_artifact(key, make_here)
        return Artifact(key=key, folder=folder, reused=not made)

    def result(self, stage: Stage[T]) -> T:
        """What an earlier stage left.

        Raises:
            NotFound: It has not run.
        """
        found = result_of(self.folder, stage)
        if found is None:
            raise NotFound(f"It works on what stage {stage.name.value} finds, and that has left nothing.")
        return found

    @property
    def prepared(self) -> Prepared:
        """The model as the latest preparing stage left it; the stored model when none has run."""
        if left := preparations_in(self.folder):
            return left[next(reversed(left))]
        return as_stored(self.model, self.request.signature)

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
        return Source(
            path=base / prepared.entry,
            format=prepared.format,
            signature=prepared.signature,
            name=self.model.name,
            is_made=prepared.format is not self.model.format or prepared.precision is not None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Generic[T]):
    """One stage: what it leaves, when it is needed, and what it needs.

    Attributes:
        result: The type of what `run` returns and `<stage>.json` holds.
        leaves_early: It writes its result before what may crash; that is taken then, where other stages' is not.
        optional: A build without it still is an engine: when it fails, the build goes on and says so.
        when: Whether a build has this stage.
        needs: What the stage needs of its interpreter.
    """

    name: StageName
    result: type[T]
    run: Callable[[StageContext], T]
    optional: bool = False
    leaves_early: bool = False
    when: Callable[[Task], bool] = lambda task: True
    needs: Callable[[Task], Needs] = lambda task: Needs()


def as_stored(model: Model, signature: str | None = None) -> Prepared:
    """A stored model, before any stage.

    Raises:
        InvalidRequest: It has no such signature.
    """
    return Prepared(artifact=None, entry=model.entry, format=model.format, signature=model.signature(signature), ops=model.ops)


def result_of(folder: Path, stage: Stage[T]) -> T | None:
    """What a stage left in a build's folder; None when it has not run to its end."""
    path = result_file(folder, stage.name)
    return read_json(stage.result, path) if path.exists() else None


def preparations_in(folder: Path) -> dict[StageName, Prepared]:
    """What each preparing stage left in a build's folder, in order."""
    files = {name: result_file(folder, name) for name in PREPARING_STAGES}
    return {name: read_json(Prepared, file) for name, file in files.items() if file.exists()}
