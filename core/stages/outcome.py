"""A build with everything its stages found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from core.base.box.walls import Walls
from core.base.errors import NotFound
from core.base.serialization import read_json
from core.benchmark.measurement import Measurement
from core.graph.engine_graph import EngineGraph
from core.models.model import Model
from core.parity.result import Parity
from core.stages.build import STAGE as BUILD
from core.stages.build import Built
from core.stages.inspect import STAGE as INSPECT
from core.stages.measure import STAGE as MEASURE
from core.stages.parity import STAGE as PARITY
from core.stages.stage import Prepared, preparations_in, result_of
from core.storage.builds import BUILD_FILE, WALLS_FILE, Build, StageName, State
from core.storage.rebuilds import Rebuild, rebuilds_of
from core.storage.workspace import Workspace

NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A build with everything its stages found; None where a stage has left nothing.

    Attributes:
        prepared: The model as the latest preparing stage left it.
        preparations: The same of every preparing stage, in order.
        walls: What stood around the model while its stages ran.
        rebuilds: Earlier builds of this request, oldest first.
    """

    build: Build
    model: Model
    prepared: Prepared | None = None
    preparations: dict[StageName, Prepared] = field(default_factory=dict)
    built: Built | None = None
    graph: EngineGraph | None = None
    parity: Parity | None = None
    measurement: Measurement | None = None
    walls: Walls | None = None
    rebuilds: tuple[Rebuild, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """Of the packages that prepared the model and built the engine."""
        told = {name: version for prepared in self.preparations.values() for name, version in prepared.versions.items()}
        return told | (self.built.engine.versions if self.built else {})

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences of the preparing stages and of the engine, each once; last, which lengths are guesses."""
        prepared = self.prepared.notes if self.prepared else ()
        return tuple(dict.fromkeys((*prepared, *(self.built.engine.notes if self.built else ()), *self._guesses)))

    @property
    def _guesses(self) -> tuple[str, ...]:
        """Of lengths that neither the model nor anybody told."""
        request = self.build.request
        note = "" if request.inputs else request.profile.guess_note(self.model.signature(request.signature))
        return (note,) if note else ()

    @property
    def verdict(self) -> str:
        """Whether it is right, in a word or two."""
        return self.parity.verdict if self.parity else NOT_CHECKED

    @property
    def unchecked(self) -> str:
        """Why nothing tells whether it is right, in a phrase; empty where something does."""
        if self.parity:
            return self.parity.uncompared
        broken = next((one.error for one in self.build.all_stages if one.stage is StageName.REFERENCE and one.error), None)
        return f"the source model did not run: {broken.message}" if broken else self.build.missing(StageName.PARITY)

    @property
    def stamp(self) -> str:
        """Why nobody is to deploy it, whether the graph or the engine was quantized; empty where nothing speaks against it."""
        return stamp_of((self.prepared,) if self.prepared else (), self.built)


def measurement_of(workspace: Workspace, build: Build) -> Measurement | None:
    """What a build's measuring has left; None too while nothing has run the engine, as what lies there is of one made before."""
    return None if build.not_run else result_of(workspace.build_folder(build.key), MEASURE)


def stamp_of(preparations: Iterable[Prepared], built: Built | None) -> str:
    """See `Outcome.stamp`."""
    told: list[str] = []
    for prepared in preparations:
        told += [prepared.precision.stamp if prepared.precision else "", *prepared.notes]
    told += built.engine.notes if built else ()
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

    preparations = preparations_in(folder)
    ended_early = build.state in (State.FAILED, State.CANCELLED)
    built, walls = result_of(folder, BUILD), folder / WALLS_FILE
    if built:  # the workspace may have moved, and the stage knew it by another name
        built = replace(built, engine=replace(built.engine, folder=workspace.artifacts / built.artifact))
    return Outcome(
        build=build,
        model=workspace.model(build.request.model),
        prepared=next(reversed(preparations.values()), None),
        preparations=preparations,
        built=built,
        graph=result_of(folder, INSPECT),
        # While nothing has run this engine, what lies there is of one that was made before.
        parity=None if build.not_run or ended_early else result_of(folder, PARITY),
        measurement=measurement_of(workspace, build),
        walls=read_json(Walls, walls) if walls.exists() else None,
        rebuilds=rebuilds_of(workspace, build.key),
    )
