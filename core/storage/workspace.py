"""The folder that holds models, artifacts and builds.

models/<digest>/model.json, content/...   what was uploaded
artifacts/<key>/                          what a step made, by the key of its inputs; whole or absent
builds/<key>/request.json, <stage>.json   what a build found, and its log
tmp/                                      partial work, named by host and process; swept when stale
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.base.errors import NotFound, StoreFailed
from core.base.files import WORKSPACE_VARIABLE, clear_away, workspace_root
from core.base.names import is_key
from core.base.ownership import open_to_group
from core.base.serialization import read_json
from core.models.model import Model

_in_use: set[Path] = set()  # partial folders that this process works in
_making = threading.Lock()


def is_in_use(partial: Path) -> bool:
    """Whether this process works in a partial folder now."""
    with _making:
        return partial.absolute() in _in_use


@dataclass(frozen=True, slots=True)
class Workspace:
    root: Path

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    def model_folder(self, digest: str) -> Path:
        return self.models / digest

    def model(self, digest: str) -> Model:
        """The stored model whose digest begins so.

        Raises:
            NotFound: None does, or several.
        """
        found = sorted(self.models.glob(f"{digest}*/model.json")) if digest.isalnum() else []
        if len(found) != 1:
            what = "No model is" if not found else "Several models are"
            raise NotFound(f"{what} stored as {digest!r}.", hint="`engineroom models` lists what is stored.")
        return read_json(Model, found[0])

    def all_models(self) -> list[Model]:
        return [read_json(Model, path) for path in sorted(self.models.glob("*/model.json"))]

    def model_path(self, model: Model) -> Path:
        return self.model_folder(model.digest) / "content" / model.entry

    @property
    def data(self) -> Path:
        return self.root / "data"

    def data_path(self, digest: str) -> Path:
        """The file or folder of inputs or calibration data that a user brought.

        Raises:
            NotFound: Nothing is stored under that digest.
        """
        found = list((self.data / digest).glob("data*"))
        if not found:
            raise NotFound(f"No input data are stored as {digest[:12]}.", hint="Give the file or folder again.")
        return found[0]

    def build_folder(self, key: str) -> Path:
        return self.builds / key

    def artifact(self, key: str) -> Path | None:
        """The artifact's folder, if it was made; there is none where the key is no key."""
        folder = self.artifacts / key
        return folder if is_key(key) and folder.is_dir() else None

    def make_artifact(self, key: str, make: Callable[[Path], None]) -> Path:
        """The artifact's folder, made by `make` in a temporary folder if it is not there yet.

        Raises:
            StoreFailed: The workspace is full or not writable.
        """
        if found := self.artifact(key):
            return found
        with self.partial_folder(f"artifact-{key[:12]}-") as partial:
            make(partial)
            return self.settle(partial, self.artifacts / key)

    @contextmanager
    def partial_folder(self, prefix: str = "") -> Iterator[Path]:
        """A temporary folder on the workspace's file system; gone at the end unless `settle` moved it."""
        parent = self.root / "tmp"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            with _making:
                folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{socket.gethostname()}.{os.getpid()}-", dir=parent))
                _in_use.add(folder.absolute())
            open_to_group(folder)
        except OSError as error:
            raise StoreFailed(
                f"The workspace {self.root} is not writable: {error.strerror}.",
                hint=f"Free some space, or name another folder with {WORKSPACE_VARIABLE}.",
            ) from error
        try:
            yield folder
        except OSError as error:
            if error.errno in (28, 30, 122) or self._refused(error):  # ENOSPC, EROFS, EDQUOT
                raise StoreFailed(
                    f"The workspace {self.root} could not be written: {error.strerror}.", hint="Free some space: `engineroom gc`."
                ) from error
            raise
        finally:
            clear_away(folder)
            _in_use.discard(folder.absolute())

    def _refused(self, error: OSError) -> bool:
        """Whether it is about rights of something in here, not of what a user brought."""
        named = [name for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
        return isinstance(error, PermissionError) and any(Path(name).absolute().is_relative_to(self.root) for name in named)

    def settle(self, partial: Path, final: Path) -> Path:
        """Moves a finished folder to its place; if somebody was faster, theirs stays."""
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(partial, final)
        except OSError:
            if not final.is_dir():
                raise
        return final


def default_workspace() -> Workspace:
    """The one at `workspace_root`."""
    return Workspace(workspace_root())
