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
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.base.box.box import GIGABYTE, Box
from core.base.errors import InvalidRequest, StoreFailed
from core.base.serialization import from_data, read_json, write_json
from core.request.build_request import BuildRequest
from core.stages.stage import Recipe
from core.storage.builds import BUILD_FILE, StageName, result_file
from core.storage.store import Kind, Store, artifacts_of
from core.storage.workspace import Workspace

RECIPE = "recipe.json"  # in an artifact: what made it
DISK_VARIABLE = "ENGINEROOM_STAGE_DISK_GB"
DISK_GB = 50.0
LEFT_FREE_BYTES = GIGABYTE  # the worker writes its log and its records yet
RESULT_BYTES = 256_000_000
CACHES = "caches"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One stage's.

    Attributes:
        real: The workspace that things come from and go to.
        folder: The desk's own, on the same disk.
        model: Digest of what the stage works on.
        reads: What the stage may read of the real workspace.
        made: Recipes of what the stage said that it makes, by their keys.
    """

    real: Workspace
    folder: Path
    model: str
    reads: tuple[Path, ...]
    store: Store | None = None
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
            InvalidRequest: See `disk_bytes`.
        """
        most = disk_bytes(self.folder)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Box(
            home=self.home,
            reads=(*self.reads, self.given),
            gpu=gpu,
            memory_bytes=None if gpu else memory,  # drivers map what they do not use
            file_bytes=most,
            home_bytes=most,
        )

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
            InvalidRequest: It is made of something else than this model.
            StoreFailed: The store failed.
        """
        recipe = from_data(Recipe, question)
        if not belongs(self.real, recipe.origin, self.model):
            raise InvalidRequest(f"A stage of model {self.model[:12]} made something of {recipe.origin[:12]}, which is not its.")
        self.made[recipe.key] = recipe
        if self.store and not self.real.artifact(recipe.key):
            self.store.pull(self.real, Kind.ARTIFACT, recipe.key)
        return self._handed(recipe.key)

    def _handed(self, key: str) -> str | None:
        """Where the stage can read an artifact; None when there is none."""
        folder, target = self.real.artifact(key), self.given / key
        if folder is None:
            return None
        try:
            if not target.exists():
                shutil.copytree(folder, target, copy_function=_linked)
        except (FileNotFoundError, shutil.Error):  # deleted this moment
            shutil.rmtree(target, ignore_errors=True)
            return None
        return str(target)

    def take_artifacts(self) -> None:
        """Puts what the stage made into the workspace; its process is gone by now.

        Raises:
            StoreFailed: It left something that is not a plain file.
        """
        for key, recipe in self.made.items():
            artifact = self.workspace.artifacts / key
            if _is_own_folder(artifact, self.home):
                make_plain(artifact)
                write_json(artifact / RECIPE, recipe)
                self.real.settle(artifact, self.real.artifacts / key)
        caches = self.workspace.root / CACHES
        if _is_own_folder(caches, self.home):
            make_plain(caches)
            for file in (path for path in caches.rglob("*") if path.is_file()):
                target = self.real.root / CACHES / file.relative_to(caches)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)

    def take_result(self, stage: StageName, folder: Path) -> None:
        """Puts the stage's result into the folder that was laid out.

        Raises:
            StoreFailed: It is not a plain file, or too large.
        """
        result = result_file(self.workspace.builds / folder.name, stage)
        if _is_own_folder(result.parent, self.home) and os.path.lexists(result):
            _check_plain(result, os.lstat(result), RESULT_BYTES)
            result.replace(result_file(folder, stage))


@contextmanager
def desk_for(workspace: Workspace, model: str, reads: Iterable[Path], store: Store | None = None) -> Iterator[Desk]:
    """A desk to work on a model at; it is cleared away at the end.

    Args:
        model: Its digest.
        reads: Folders of the workspace, see `inputs_of`.
    """
    with workspace.partial_folder("desk-") as place:
        desk = Desk(real=workspace, folder=place.absolute(), model=model, reads=tuple(reads), store=store)
        own = desk.workspace
        for path in (desk.given, own.models, own.data, own.artifacts, own.root / "tmp"):
            path.mkdir(parents=True)
        for given in desk.reads:
            (own.root / given.relative_to(workspace.root.absolute())).symlink_to(given)
        with suppress(FileNotFoundError):
            shutil.copytree(workspace.root / CACHES, own.root / CACHES)
        yield desk


def inputs_of(workspace: Workspace, request: BuildRequest, results: Path) -> list[Path]:
    """What the stages of a build may read: its model, its data, and what its earlier stages made or used."""
    data = [workspace.data / digest for digest in {request.inputs, request.calibration} if digest]
    keys = [key for key in artifacts_of(results) if belongs(workspace, key, request.model)]
    found = [workspace.model_folder(request.model), *data, *(workspace.artifacts / key for key in keys)]
    return [path.absolute() for path in found if path.is_dir()]


def disk_bytes(folder: Path) -> int:
    """What one stage may write: ENGINEROOM_STAGE_DISK_GB, and no more than is free.

    Raises:
        InvalidRequest: The variable is no number above 0.
    """
    told = os.environ.get(DISK_VARIABLE) or str(DISK_GB)
    try:
        most = float(told)
    except ValueError:
        most = 0.0
    if not 0 < most < float("inf"):
        raise InvalidRequest(f"{DISK_VARIABLE} is {told!r}.", hint="Give the gigabytes that a stage may write, such as 50.")
    free = shutil.disk_usage(folder).free - LEFT_FREE_BYTES
    return int(max(min(most * GIGABYTE, free), LEFT_FREE_BYTES / 4))


def belongs(workspace: Workspace, key: str, model: str) -> bool:
    """Whether an artifact was made of that model, over as many steps as it may be; the model itself belongs to it."""
    for _ in range(20):
        if key == model:
            return True
        folder = workspace.artifact(key) if key.isalnum() else None
        if folder is None:
            return False
        try:
            key = read_json(Recipe, folder / RECIPE).origin
        except StoreFailed:
            return True  # of before this was recorded: made by a release without a box
    return False


def make_plain(folder: Path) -> None:
    """Sees to it that a folder holds folders and plain files alone, with rights that nobody but us has.

    Raises:
        StoreFailed: It does not.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            told = os.lstat(path)
            _check_plain(Path(path), told)
            if (told.st_mode & 0o7777) & ~0o755:
                os.chmod(path, told.st_mode & 0o755)


def _check_plain(path: Path, told: os.stat_result, most_bytes: int | None = None) -> None:
    if not (stat.S_ISREG(told.st_mode) or (most_bytes is None and stat.S_ISDIR(told.st_mode))):
        raise StoreFailed(f"The model's process left {path.name}, which is not a plain file.", hint="It is not kept.")
    if most_bytes is not None and told.st_size > most_bytes:
        size, most = told.st_size / 1e6, most_bytes / 1e6
        raise StoreFailed(f"The model's process left a result of {size:,.0f} MB.", hint=f"At most {most:,.0f} MB are read.")


def _is_own_folder(path: Path, home: Path) -> bool:
    """Whether it is a folder below `home` that no link leads to."""
    while path != home:
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return False
        except OSError:
            return False
        path = path.parent
    return True


def _linked(source: str, target: str) -> None:
    """A second name where that can be, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
