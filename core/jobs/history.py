"""A workspace's finished builds, whoever made them, and its models: what estimates look back on besides the queue's own jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from heapq import nlargest
from pathlib import Path

from core.base.errors import NotFound, StoreFailed
from core.base.serialization import read_json
from core.storage.builds import BUILD_FILE, Build, State
from core.storage.workspace import Workspace


class StoredHistory:
    """Reads each record once for as long as it does not change."""

    def __init__(self, workspace: Workspace, most: int) -> None:
        self._workspace = workspace
        self._most = most
        self._read: dict[Path, tuple[int, Build | None]] = {}
        self._sizes: dict[str, int] = {}  # of models, which never change

    def builds(self) -> list[Build]:
        """The newest that are done."""
        newest = nlargest(self._most, self._dated())
        self._read = {path: self._known(path, changed) for changed, path in newest}
        return [build for _, build in self._read.values() if build and build.state is State.DONE]

    def size_of(self, model: str) -> int | None:
        """Bytes of a model; None where it is not stored here."""
        if model not in self._sizes:
            with suppress(NotFound, StoreFailed):
                self._sizes[model] = self._workspace.model(model).size_bytes
        return self._sizes.get(model)

    def _dated(self) -> Iterator[tuple[int, Path]]:
        for path in self._workspace.builds.glob(f"*/{BUILD_FILE}"):
            try:
                yield path.stat().st_mtime_ns, path
            except FileNotFoundError:
                continue  # deleted meanwhile

    def _known(self, path: Path, changed: int) -> tuple[int, Build | None]:
        known = self._read.get(path)
        if known and known[0] == changed:
            return known
        try:
            return changed, read_json(Build, path)
        except (StoreFailed, FileNotFoundError):  # of another release, or deleted meanwhile
            return changed, None
