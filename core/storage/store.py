"""The shared store: how models, artifacts and builds travel between hosts.

A folder on a shared mount or a bucket, through fsspec. Files are stored once, by the SHA-256 of their bytes:

objects/<ab>/<sha256>                                   bytes, whatever file they are
models|data|artifacts/<name>.json                       a folder as a list of files; written last, never changed
builds/<key>.json                                       the same of a build's folder; a later attempt's replaces it
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from core.base.errors import EngineRoomError, InvalidRequest, NotFound, StoreFailed, Unavailable, first_line
from core.base.names import is_key
from core.base.serialization import from_data, to_data
from core.request.build_request import BuildRequest
from core.storage.builds import engine_artifact
from core.storage.workspace import Workspace

STORE_VARIABLE = "ENGINEROOM_STORE"
CHUNK_BYTES = 4 * 1024 * 1024


class Kind(str, Enum):
    """What a stored folder is; the values name the folders of the workspace and of the store."""

    MODEL = "models"
    DATA = "data"
    ARTIFACT = "artifacts"
    BUILD = "builds"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A folder: its files, and its subfolders because a SavedModel may have empty ones."""

    files: tuple[StoredFile, ...]
    folders: tuple[str, ...] = ()


def store_named(address: str | None = None) -> Store | None:
    """The store at that address, else at ENGINEROOM_STORE's; None when neither is given."""
    address = address or os.environ.get(STORE_VARIABLE)
    return Store(address) if address else None


class Store:
    """A shared store.

    Args:
        address: A folder, or an fsspec URL such as `s3://bucket/prefix`; credentials and endpoint come from the
            environment, as the AWS tools read them.

    Raises:
        InvalidRequest: No such kind of address.
        Unavailable: The package for it is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise Unavailable("A shared store needs fsspec.", hint="pip install 'engine-room[jobs]'") from None
        self.address = address
        try:
            self._fs, self._root = fsspec.core.url_to_fs(address)
        except ImportError as error:
            hint = "pip install 'engine-room[s3]'" if address.startswith("s3") else str(error)
            raise Unavailable(f"The store {address} needs a package that is not installed.", hint=hint) from error
        except ValueError as error:
            raise InvalidRequest(
                f"{address!r} is no address of a store: {error}.", hint="Give a folder or s3://bucket."
            ) from error
        self._is_folder = "file" in self._fs.protocol

    def has(self, kind: Kind, name: str) -> bool:
        with self._told():
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._manifest_path(kind, name)))

    def push(self, workspace: Workspace, kind: Kind, name: str) -> None:
        """Stores a folder of the workspace; nothing happens when it is there already, unless it is a build's."""
        if kind is not Kind.BUILD and self.has(kind, name):
            return
        folder = workspace.root / kind.value / name
        if not folder.is_dir():
            raise NotFound(f"There is nothing to share at {kind.value}/{name[:12]}.", hint="It was deleted meanwhile.")
        paths = sorted(path for path in folder.rglob("*") if not path.name.endswith(".partial"))
        files = tuple(self._push_file(path, folder) for path in paths if path.is_file())
        folders = tuple(str(path.relative_to(folder)) for path in paths if path.is_dir())
        text = json.dumps(to_data(Manifest(files=files, folders=folders)))
        with self._told():
            self._write(self._manifest_path(kind, name), text.encode())

    def pull(self, workspace: Workspace, kind: Kind, name: str) -> bool:
        """Brings a folder into the workspace, whole or not at all; False when the store does not have it.

        A build's files replace those of an earlier attempt; everything else never changes and stays when it is there.

        Raises:
            StoreFailed: A file arrived damaged, or the store or the workspace failed.
        """
        final = workspace.root / kind.value / name
        if kind is not Kind.BUILD and final.is_dir():
            return True
        if (manifest := self._manifest(kind, name)) is None:
            return False
        with workspace.partial_folder(f"pull-{name[:12]}-") as partial:
            for folder in manifest.folders:
                _inside(partial, folder).mkdir(parents=True, exist_ok=True)
            for file in manifest.files:
                self._pull_file(file, _inside(partial, file.path))
            if kind is Kind.BUILD and final.is_dir():
                for file in manifest.files:
                    _inside(partial, file.path).replace(final / file.path)
            else:
                workspace.settle(partial, final)
        return True

    def push_inputs(self, workspace: Workspace, request: BuildRequest) -> None:
        """Stores what a build starts from: the model, and the user's data."""
        self.push(workspace, Kind.MODEL, request.model)
        for digest in (request.calibration, request.inputs):
            if digest:
                self.push(workspace, Kind.DATA, digest)

    def pull_inputs(self, workspace: Workspace, request: BuildRequest) -> None:
        """Brings what a build starts from; what is missing here and there is told by the stage that needs it."""
        self.pull(workspace, Kind.MODEL, request.model)
        for digest in (request.calibration, request.inputs):
            if digest:
                self.pull(workspace, Kind.DATA, digest)

    def push_build(self, workspace: Workspace, key: str) -> None:
        """Stores a build as far as it has come: its artifacts first, then its folder."""
        for artifact in artifacts_of(workspace.build_folder(key)):
            if workspace.artifact(artifact):
                self.push(workspace, Kind.ARTIFACT, artifact)
        self.push(workspace, Kind.BUILD, key)

    def pull_build(self, workspace: Workspace, key: str, *, artifacts: bool = True) -> bool:
        """Brings a build, with the artifacts it names or without; False when the store does not have it."""
        if not self.pull(workspace, Kind.BUILD, key):
            return False
        for artifact in artifacts_of(workspace.build_folder(key)) if artifacts else ():
            self.pull(workspace, Kind.ARTIFACT, artifact)
        return True

    def forget_build(self, workspace: Workspace, key: str) -> None:
        """Forgets a build and its engine, so that it can be made anew; its folder is then in the workspace."""
        self.pull(workspace, Kind.BUILD, key)
        if engine := engine_artifact(workspace.build_folder(key)):
            self.delete(Kind.ARTIFACT, engine)
        self.delete(Kind.BUILD, key)

    def delete(self, kind: Kind, name: str) -> None:
        """Forgets a folder; its bytes go with the next `sweep`."""
        with self._told():
            if self._fs.exists(path := self._manifest_path(kind, name)):
                self._fs.rm_file(path)

    def sweep(self, *, older_than_seconds: float = 24 * 3600.0) -> int:
        """Deletes objects that no folder names and that are not fresh (a push stores objects first); bytes freed."""
        import time

        with self._told():
            self._fs.invalidate_cache()
            kept: set[str] = set()
            for kind in Kind:
                for path in self._fs.glob(f"{self._root}/{kind.value}/*.json"):
                    manifest = from_data(Manifest, json.loads(self._fs.cat_file(path)))
                    kept.update(file.sha256 for file in manifest.files)
            freed = 0
            for path, info in self._fs.find(f"{self._root}/objects", detail=True).items():
                changed = info.get("mtime") or info["LastModified"].timestamp()
                if Path(path).name not in kept and time.time() - changed > older_than_seconds:
                    self._fs.rm_file(path)
                    freed += int(info["size"])
        return freed

    def _manifest_path(self, kind: Kind, name: str) -> str:
        return f"{self._root}/{kind.value}/{name}.json"

    def _object_path(self, sha256: str) -> str:
        return f"{self._root}/objects/{sha256[:2]}/{sha256}"

    def _manifest(self, kind: Kind, name: str) -> Manifest | None:
        if not self.has(kind, name):
            return None
        with self._told():
            return from_data(Manifest, json.loads(self._fs.cat_file(self._manifest_path(kind, name))))

    def _push_file(self, path: Path, folder: Path) -> StoredFile:
        file = StoredFile(path=str(path.relative_to(folder)), sha256=file_sha256(path), size_bytes=path.stat().st_size)
        target = self._object_path(file.sha256)
        with self._told():
            if not self._fs.exists(target):
                self._write(target, path)
        return file

    def _write(self, target: str, content: Path | bytes) -> None:
        """Whole or not at all: a bucket's uploads are, a folder needs the rename."""
        place = f"{target}.{secrets.token_hex(4)}.partial" if self._is_folder else target
        if self._is_folder:
            self._fs.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            if isinstance(content, bytes):
                self._fs.pipe_file(place, content)
            else:
                self._fs.put_file(str(content), place)
            if self._is_folder:
                os.replace(place, target)
        except OSError:
            if self._is_folder:
                Path(place).unlink(missing_ok=True)
            raise

    def _pull_file(self, file: StoredFile, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._told():
            self._fs.get_file(self._object_path(file.sha256), str(target))
        if file_sha256(target) != file.sha256:
            raise StoreFailed(f"{file.path} arrived damaged from the store {self.address}.", hint="Delete the object there.")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Bucket libraries raise whatever they like; here it all means that the store failed."""
        try:
            yield
        except EngineRoomError:
            raise
        except Exception as error:
            hint = "Check that it can be reached and written, and that it is not full."
            raise StoreFailed(f"The store {self.address} failed: {first_line(error)}.", hint=hint) from error


def artifacts_of(build_folder: Path) -> list[str]:
    """Keys of the artifacts that a build's stages made or used, in the stages' order."""
    found: dict[str, float] = {}
    for path in build_folder.glob("*.json"):
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # torn by a crash: that stage runs again
        if isinstance(data, dict) and isinstance(key := data.get("artifact"), str) and is_key(key):
            found[key] = path.stat().st_mtime
    return sorted(found, key=lambda key: found[key])


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _inside(folder: Path, relative: str) -> Path:
    """A path below `folder`; a manifest from a shared store must not reach out of it."""
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise StoreFailed(f"The store names a file outside of its folder: {relative}.", hint="Somebody changed it.")
    return path
