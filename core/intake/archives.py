"""Unpacks .zip and .tar archives (gzip, bzip2 or xz too) that strangers made.

Nothing leaves the target folder, no link or device is made, and what is written is counted as it is written: an
archive's own figures are not believed.
"""

from __future__ import annotations

import errno
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from core.base.errors import BrokenModel, UnsupportedModel
from core.base.files import UNPACKED_FREE_BYTES, UNPACKED_RATIO, most_unpacked
from core.base.progress import Progress, Report, silent
from core.storage.digest import is_junk

_CHUNK_BYTES = 1 << 20
_TAR_BLOCK = 512
_PACK_AGAIN = "Pack the model again as .zip or .tar.gz."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may unpack to; see `core.base.files.most_unpacked`.

    Attributes:
        size_bytes: In all.
        files: In all.
        ratio: Unpacked bytes for each packed one, beyond `free_bytes`.
        free_bytes: What any archive may unpack to, however small it is.
    """

    size_bytes: int = 64 << 30
    files: int = 50_000
    ratio: int = UNPACKED_RATIO
    free_bytes: int = UNPACKED_FREE_BYTES


def is_archive(path: Path) -> bool:
    """Whether a file is an archive of a kind we unpack (a zip may still be a format of its own)."""
    with path.open("rb") as file:
        head = file.read(_TAR_BLOCK)
    packed = head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))
    return packed or head[257:262] == b"ustar"


def unpack(path: Path, folder: Path, *, limits: Limits | None = None, report: Report = silent) -> None:
    """Unpacks an archive into an empty folder, without the junk that operating systems add.

    Raises:
        BrokenModel: It is damaged, or holds what a model's archive has no business to hold.
        UnsupportedModel: It is encrypted, or packs a single file without a name.
    """
    budget = _Budget(path, limits or Limits())
    with _readable(path), closing(_zip_files(path) if zipfile.is_zipfile(path) else _tar_files(path)) as files:
        for name, source in files:
            with source:
                target = _target(folder, name)
                if is_junk(name):
                    continue
                budget.count_file()
                target.parent.mkdir(parents=True, exist_ok=True)
                report(Progress(message=f"Unpacking {PurePosixPath(name).name}"))
                with target.open("xb") as sink:
                    while chunk := source.read(_CHUNK_BYTES):
                        budget.spend(len(chunk))
                        sink.write(chunk)


class _Budget:
    """What an archive may still unpack to."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.allowed_bytes = min(limits.size_bytes, most_unpacked(path, ratio=limits.ratio, free_bytes=limits.free_bytes))
        self.allowed_files = limits.files
        self.bytes = self.files = 0

    def count_file(self) -> None:
        self.files += 1
        if self.files > self.allowed_files:
            raise BrokenModel(
                f"{self.path.name} holds more than {self.allowed_files} files.", hint="Pack the model's files alone."
            )

    def spend(self, size_bytes: int) -> None:
        self.bytes += size_bytes
        if self.bytes > self.allowed_bytes:
            raise BrokenModel(
                f"{self.path.name} unpacks to more than {self.allowed_bytes >> 20} MiB.",
                hint="If it is a real model, give it as a folder or a file.",
            )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns everything that the archive modules raise on damaged data into one error; a full disk stays one."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, NotImplementedError, ValueError) as error:
        raise BrokenModel(f"{path.name} is cut short or damaged: {error}.", hint=_PACK_AGAIN) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BrokenModel(f"{path.name} holds two files of the same name.", hint=_PACK_AGAIN) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL, errno.EOVERFLOW):  # damaged places lead before or beyond the file
            raise
        raise BrokenModel(f"{path.name} is cut short or damaged: {error}.", hint=_PACK_AGAIN) from error


def _target(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or PureWindowsPath(name).drive or "\0" in name:
        raise BrokenModel(f"The archive holds a file outside itself: {name!r}.", hint=_PACK_AGAIN)
    if len(name.encode("utf-8", "surrogateescape")) > 1024 or any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
        raise BrokenModel(f"The archive holds a file with an overlong name: {name[:60]!r}...", hint=_PACK_AGAIN)
    return folder.joinpath(*parts)


def _no_link(name: str) -> BrokenModel:
    return BrokenModel(f"The archive holds a link or a device: {name!r}.", hint="Pack the files themselves (tar --dereference).")


def _zip_files(path: Path) -> Generator[tuple[str, IO[bytes]], None, None]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.replace("\\", "/")  # some Windows tools write them so
            if info.flag_bits & 1:
                raise UnsupportedModel(f"{path.name} is encrypted.", hint="Pack the model again without a password.")
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_link(name)
            if not info.is_dir() and not name.endswith("/"):
                yield name, archive.open(info)


def _tar_files(path: Path) -> Generator[tuple[str, IO[bytes]], None, None]:
    try:
        archive = tarfile.open(path, "r:*")  # noqa: SIM115 - the exception tells a packed single file from damage
    except tarfile.ReadError as error:
        raise _not_a_tar(path) from error
    with archive:
        for member in archive:
            if member.isdir():
                continue
            source = archive.extractfile(member) if member.isreg() else None
            if source is None:
                raise _no_link(member.name)
            yield _as_text(member.name).removeprefix("./"), source


def _as_text(name: str) -> str:
    """A name as its bytes in Latin-1 where they are no UTF-8, as old tools wrote them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def _not_a_tar(path: Path) -> BrokenModel | UnsupportedModel:
    import gzip

    try:
        with gzip.open(path) as packed:
            packed.read(_TAR_BLOCK)
    except (OSError, EOFError, zlib.error):
        return BrokenModel(f"{path.name} is a cut short or damaged archive.", hint=_PACK_AGAIN)
    return UnsupportedModel(f"{path.name} packs a single file with gzip.", hint="Unpack it (gunzip) and give the file itself.")
