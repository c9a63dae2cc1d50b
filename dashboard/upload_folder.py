"""One upload on disk: `upload.json` says what is to come, `N.part` holds what has come of file N, `files/` the whole ones."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.base.errors import InvalidRequest
from core.base.serialization import read_json, write_json
from core.storage.workspace import Workspace
from dashboard.routes import Conflict, is_plain_text

MAX_FILES = 20_000
MANIFEST = "upload.json"
_NAME_BYTES = 255
_PATH_BYTES = 2048

# The newest writer of each file; an older one (a broken connection, another tab) finds itself replaced and stops.
_newest: dict[Path, Writer] = {}
_open: dict[Path, set[Writer]] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    name: str
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise InvalidRequest(f"{self.name} cannot have {self.size} bytes.", hint="Choose the files again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one upload will hold; names are relative paths."""

    files: tuple[UploadedFile, ...]


def safe_name(name: str) -> str:
    """A relative path that stays below the folder it is put in.

    Raises:
        InvalidRequest: It would not, or no file system stores it.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    fits = is_plain_text(name, _PATH_BYTES)
    odd = not fits or any(part in (".", "..") or len(os.fsencode(part)) > _NAME_BYTES for part in path.parts)
    if not path.parts or path.is_absolute() or odd or not str(path).strip():
        raise InvalidRequest(f"{name[:80]!r} is not a file name we can store.", hint="Rename it and try again.")
    return str(path)


class Writer:
    """Writes one slice; `offset` is where the next byte goes."""

    def __init__(self, part: Path, offset: int, size: int) -> None:
        self._part = part
        self._size = size
        self._busy = threading.Lock()
        self._descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, 0o666)  # less what the umask takes
        with _lock:
            _newest[part] = self
            _open.setdefault(part, set()).add(self)
        self.offset = offset

    def write(self, data: bytes) -> None:
        """Raises Conflict when another writer has taken over, InvalidRequest when the file gets too long."""
        if self.offset + len(data) > self._size:
            raise InvalidRequest("More bytes have come than the file was said to have.", hint="Choose the files again.")
        with self._busy:
            if _newest.get(self._part) is not self:
                raise Conflict("Another tab or a newer try is sending this file.", hint="Watch it there.")
            view = memoryview(data)
            while view:
                written = os.pwrite(self._descriptor, view, self.offset)
                self.offset += written
                view = view[written:]

    def close(self) -> None:
        os.close(self._descriptor)
        with _lock:
            if _newest.get(self._part) is self:
                del _newest[self._part]
            _open[self._part].discard(self)
            if not _open[self._part]:
                del _open[self._part]

    def wait(self) -> None:
        """Until what it writes now is written."""
        with self._busy:
            pass


def _retire_writers(part: Path) -> None:
    """Nobody writes to the file any more: it is hashed and linked next."""
    with _lock:
        _newest.pop(part, None)
        writers = list(_open.get(part, ()))
    for writer in writers:
        writer.wait()


@dataclass(frozen=True, slots=True)
class UploadFolder:
    path: Path

    def create(self, files: tuple[UploadedFile, ...]) -> None:
        """Raises InvalidRequest when two of the names cannot stand side by side."""
        names = {file.name for file in files}
        parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
        if len(names) < len(files) or names & parents:
            raise InvalidRequest("Two of the files have the same name.", hint="Upload the folder that holds them, or an archive.")
        self.path.mkdir(parents=True)
        write_json(self.path / MANIFEST, Manifest(files=files))

    @property
    def manifest(self) -> Manifest:
        return read_json(Manifest, self.path / MANIFEST)

    @property
    def touched_at(self) -> float | None:
        """When something last came, seconds since the epoch; None when it was deleted meanwhile."""
        try:
            return max(entry.stat().st_mtime for entry in (self.path, *self.path.glob("*")))
        except FileNotFoundError:
            return None

    def _part(self, index: int) -> Path:
        return self.path / f"{index}.part"

    def _whole(self, file: UploadedFile) -> Path:
        return self.path / "files" / file.name

    def received(self) -> list[int]:
        """Bytes that have come of each file."""
        return [self._have(index, file) for index, file in enumerate(self.manifest.files)]

    def _have(self, index: int, file: UploadedFile) -> int:
        if self._whole(file).is_file():
            return file.size
        try:
            return self._part(index).stat().st_size
        except FileNotFoundError:
            return 0

    def writer(self, index: int, offset: int) -> Writer:
        """Takes a slice of a file from `offset` on.

        Raises:
            InvalidRequest: There is no such file.
            Conflict: A slice before this one is missing, or the file is whole and being read.
        """
        files = self.manifest.files
        if index >= len(files):
            raise InvalidRequest("This upload has no such file.", hint="Choose the files again.")
        if self._whole(files[index]).is_file():
            raise Conflict("This file is complete already.", hint="Reload the page.")
        have = self._have(index, files[index])
        if offset > have:
            raise Conflict(f"A slice is missing: {have} bytes have come, this one starts at {offset}.", hint="Try again.")
        return Writer(self._part(index), offset, files[index].size)

    def assemble(self) -> tuple[Path, str]:
        """Gives every file its name; returns what to give to the intake, and what to call the model.

        That is the only file, the folder that all are in, or all files together, named after the largest .onnx among them.

        Raises:
            Conflict: Not all has come.
        """
        files = self.manifest.files
        if self.received() != [file.size for file in files]:
            raise Conflict("Not all files have come yet.", hint="Wait until the upload is complete.")
        for index, file in enumerate(files):
            target, part = self._whole(file), self._part(index)
            _retire_writers(part)
            target.parent.mkdir(parents=True, exist_ok=True)
            if part.exists():
                part.rename(target)
            else:
                target.touch()
        tops = {PurePosixPath(file.name).parts[0] for file in files}
        if len(tops) == 1:
            return self.path / "files" / tops.pop(), PurePosixPath(files[0].name).parts[0]
        largest = sorted(files, key=lambda file: (not file.name.endswith(".onnx"), -file.size))[0]
        return self.path / "files", PurePosixPath(largest.name).name

    def empty(self) -> None:
        """Deletes the files, which are in the store now; what is left tells how the upload ended until it is swept."""
        shutil.rmtree(self.path / "files", ignore_errors=True)
        write_json(self.path / MANIFEST, Manifest(files=()))


def uploads_folder(workspace: Workspace) -> Path:
    return workspace.root / "uploads"


def upload_folders(workspace: Workspace) -> list[UploadFolder]:
    """All uploads that are not swept yet."""
    folder = uploads_folder(workspace)
    return [UploadFolder(path) for path in folder.iterdir()] if folder.is_dir() else []
