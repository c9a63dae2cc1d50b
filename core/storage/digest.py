"""A model's digest: the same files, the same digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

from core.base.files import linked
from core.base.progress import Progress, Report, silent

_CHUNK_BYTES = 1 << 20
_JUNK_NAMES = (".ds_store", "thumbs.db", "desktop.ini", "__macosx", ".ipynb_checkpoints", ".git")


def is_junk(name: str) -> bool:
    """Whether a path is what operating systems and tools leave beside a model."""
    return any(part.lower() in _JUNK_NAMES or part.startswith("._") for part in PurePosixPath(name).parts)


def digest_of(
    files: Mapping[str, Path],
    *,
    store_in: Path | None = None,
    owned: bool = False,
    also: Iterable[str] = (),
    report: Report = silent,
) -> str:
    """SHA-256 of what `sha256sum` prints for the files in the order of their names, and of further lines.

    Args:
        files: Where each file is, by its relative name in the model.
        store_in: A folder to copy them to while they are read, so that what is hashed is what is stored.
        owned: Whether the files are ours and never change: they are linked there, which takes no second place on the disk.
        also: Further lines that tell models of the same files apart.
        report: Told how much is read.
    """
    lines: list[str] = []
    total, done = max(1, sum(path.stat().st_size for path in files.values())), 0
    for name in sorted(files):
        hashed = hashlib.sha256()
        target = _prepared(store_in / name) if store_in else None
        second = bool(target and owned and linked(files[name], target))
        with files[name].open("rb") as source, target.open("xb") if target and not second else nullcontext() as sink:
            while chunk := source.read(_CHUNK_BYTES):
                hashed.update(chunk)
                if sink:
                    sink.write(chunk)
                done += len(chunk)
                report(Progress(message=f"{'Storing' if store_in else 'Reading'} {name}", fraction=min(1.0, done / total)))
        lines.append(f"{hashed.hexdigest()}  {name}\n")
    text = "".join([*lines, *(f"{line}\n" for line in also)])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _prepared(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
