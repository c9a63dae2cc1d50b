"""What a boxed stage has before it: a workspace of its own with what it needs, and a caller who takes what it made.

    given/<key>/                   artifacts that the stage asked for, to be read
    home/workspace/                the only folder that it writes to: a workspace as every stage knows it
        models/ data/ artifacts/   links to what it was given; what it makes lies beside them
        builds/<name>/             the results of the stages before it, and its own
        caches/                    kernel timings, copied in and out

A stage works on a user's model, so nothing that it leaves is believed: an artifact is kept under the key that its recipe has,
and only where the recipe starts from this model; links, devices and oversized results are refused. See docs/decisions/0041.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.base.box.box import Box
from core.base.box.limits import disk_bytes, limited_box, memory_bytes
from core.base.box.plain import check_plain, is_own_folder, make_plain
from core.base.errors import InvalidRequest, StoreFailed
from core.base.files import CACHES, link_or_copy
from core.base.serialization import from_data, read_json, to_data, write_json
from core.request.build_request import BuildRequest
from core.stages.all_stages import stage_named
from core.stages.stage import Recipe
from core.storage.builds import BUILD_FILE, StageName, result_file
from core.storage.store import Kind, Store, artifacts_of
from core.storage.workspace import Workspace

RECIPE = "recipe.json"  # in an artifact: what made it
RESULT_BYTES = 128_000_000  # a graph of 100,000 nodes takes half
MOST_MADE = 200  # things that one stage makes
_DIGITS = re.compile(rb"\d{19}")
CACHE_SUFFIXES = (".timing", ".cache")
CACHE_FILES, CACHE_BYTES = 2_000, 4_000_000_000


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One stage's.

    Attributes:
        real: The workspace that things come from and go to.
        folder: The desk's own, on the same disk.
        model: Digest of what the stage works on.
        reads: What the stage may read of the real workspace.
        made: Recipes of what the stage said that it makes, by their keys.
        caches: Whether it was given what GPUs' builders and runtimes keep, and what it adds to that is taken.
    """

    real: Workspace
    folder: Path
    model: str
    reads: tuple[Path, ...]
    store: Store | None = None
    caches: bool = False
    made: dict[str, Recipe] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def given(self) -> Path:
        return self.folder / "given"

    @property
    def workspace(self) -> Workspace:
        """As the stage sees it."""
        return Workspace(self.home / "workspace")

    def box(self, *, gpu: bool = False) -> Box:
        """The box of what sits at it.

        Raises:
            InvalidRequest: See `core.base.box.limits.disk_bytes`.
        """
        memory = None if gpu else memory_bytes()  # drivers map what they do not use
        return limited_box(self.home, (*self.reads, self.given), memory_bytes=memory, gpu=gpu)

    def lay_out(self, results: Path) -> Path:
        """Copies the results of earlier stages; where they then lie, and the stage's own will."""
        place = self.workspace.builds / results.name
        place.mkdir(parents=True)
        for result in results.glob("*.json"):
            if result.name != BUILD_FILE:
                shutil.copyfile(result, place / result.name)
        return place

    def fetch(self, question: Any) -> str | None:
        """Answers a stage that is about to make something, by its recipe: where it lies if it was made before.

        Raises:
            InvalidRequest: It is made of something else than this model, or the question is none.
            StoreFailed: The store failed.
        """
        try:
            recipe = from_data(Recipe, question)
            key = recipe.key
        except (ValueError, RecursionError):
            raise InvalidRequest("A stage asked for something that is no recipe.") from None
        if len(self.made) >= MOST_MADE:
            raise InvalidRequest(f"A stage asked for more than {MOST_MADE} things.")
        if not belongs(self.real, recipe.origin, self.model):
            raise InvalidRequest(f"A stage of model {self.model[:12]} made something of {recipe.origin[:12]}, which is not its.")
        self.made[key] = recipe
        if self.store and not self.real.artifact(key):
            self.store.pull(self.real, Kind.ARTIFACT, key)
        return self._handed(key)

    def _handed(self, key: str) -> str | None:
        """Where the stage can read an artifact; None when there is none."""
        folder, target = self.real.artifact(key), self.given / key
        if folder is None:
            return None
        try:
            if not target.exists():
                shutil.copytree(folder, target, copy_function=link_or_copy)
        except (FileNotFoundError, shutil.Error):  # deleted this moment
            shutil.rmtree(target, ignore_errors=True)
            return None
        return str(target)

    def take_artifacts(self) -> None:
        """Puts what the stage made into the workspace; its process is gone by now.

        Raises:
            StoreFailed: It left something that is not kept: a link, folders without end, more than it may write.
        """
        with _taking():
            for key, recipe in self.made.items():
                artifact = self.workspace.artifacts / key
                if is_own_folder(artifact, self.home):
                    make_plain(artifact, most_bytes=disk_bytes(self.folder))
                    write_json(self.folder / RECIPE, recipe)  # out of the stage's own folder, whatever it left there
                    os.replace(self.folder / RECIPE, artifact / RECIPE)
                    self.real.settle(artifact, self.real.artifacts / key)
            if self.caches:
                self._take_caches()

    def _take_caches(self) -> None:
        caches = self.workspace.root / CACHES
        if not is_own_folder(caches, self.home):
            return
        make_plain(caches, most_bytes=CACHE_BYTES)
        files = [path for path in caches.rglob("*") if path.is_file() and path.suffix in CACHE_SUFFIXES]
        if len(files) > CACHE_FILES:
            raise StoreFailed(f"The model's process left more than {CACHE_FILES:,} timings of kernels.", hint="None is kept.")
        for file in files:
            target = self.real.root / CACHES / file.relative_to(caches)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)

    def take_result(self, stage: StageName, folder: Path) -> bool:
        """Puts the stage's result into the folder that was laid out, as it was read and no more; False when it left none.

        Raises:
            StoreFailed: It is not a plain file, or too large, or not of the stage's type, or names what is not this model's.
        """
        result = result_file(self.workspace.builds / folder.name, stage)
        with _taking():
            if not (is_own_folder(result.parent, self.home) and os.path.lexists(result)):
                return False
            check_plain(result, os.lstat(result), RESULT_BYTES)
            found = read_json(stage_named(stage).result, result)
            if _DIGITS.search(result.read_bytes()) and _has_no_place_in_tables(to_data(found)):
                raise StoreFailed(f"Stage {stage.value} left a number of more than 64 bits.", hint="Nothing of it is kept.")
            artifact = getattr(found, "artifact", None)
            if artifact is not None and not belongs(self.real, artifact, self.model):
                hint = "Nothing of it is kept."
                raise StoreFailed(
                    f"Stage {stage.value} left a result about {artifact[:12]}, which is not its model's.", hint=hint
                )
            write_json(result_file(folder, stage), found)
            return True


def _has_no_place_in_tables(data: Any) -> bool:
    """Whether a whole number in it is beyond 64 bits, which tables of pages and files refuse."""
    left = [data]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
        elif isinstance(one, int) and not -(1 << 63) <= one < 1 << 63:
            return True
    return False


@contextmanager
def _taking() -> Iterator[None]:
    """Whatever lies where something is to be put, the user gets a sentence."""
    try:
        yield
    except OSError as error:
        hint = "Free some disk space; if there is enough, the model left something odd on purpose."
        raise StoreFailed(f"What the stage left could not be taken: {error.strerror}.", hint=hint) from error


@contextmanager
def desk_for(
    workspace: Workspace, model: str, reads: Iterable[Path], store: Store | None = None, *, caches: bool = False
) -> Iterator[Desk]:
    """A desk to work on a model at; it is cleared away at the end.

    Args:
        model: Its digest.
        reads: Folders of the workspace, see `inputs_of`.
        caches: Whether what GPUs' builders and runtimes keep is needed.
    """
    with workspace.partial_folder("desk-") as place:
        desk = Desk(real=workspace, folder=place.absolute(), model=model, reads=tuple(reads), store=store, caches=caches)
        own = desk.workspace
        for path in (desk.given, own.models, own.data, own.artifacts, own.root / "tmp"):
            path.mkdir(parents=True)
        for given in desk.reads:
            (own.root / given.relative_to(workspace.root.absolute())).symlink_to(given)
        if caches and (workspace.root / CACHES).is_dir():
            shutil.copytree(workspace.root / CACHES, own.root / CACHES)
        yield desk


def inputs_of(workspace: Workspace, request: BuildRequest, results: Path) -> list[Path]:
    """What the stages of a build may read: its model, its data, and what its earlier stages made or used."""
    data = [workspace.data / digest for digest in {request.inputs, request.calibration} if digest]
    keys = [key for key in artifacts_of(results) if belongs(workspace, key, request.model)]
    found = [workspace.model_folder(request.model), *data, *(workspace.artifacts / key for key in keys)]
    return [path.absolute() for path in found if path.is_dir()]


def belongs(workspace: Workspace, key: str, model: str) -> bool:
    """Whether an artifact was made of that model, over as many steps as it may be; the model itself belongs to it."""
    for _ in range(20):
        if key == model:
            return True
        folder = workspace.artifact(key)
        if folder is None:
            return False
        try:
            key = read_json(Recipe, folder / RECIPE).origin
        except StoreFailed:
            return True  # of before this was recorded: made by a release without a box
    return False
