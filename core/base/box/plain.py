"""What a boxed process leaves is looked at before anybody else reads it: no link, no device, no rights for others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core.base.errors import StoreFailed

MOST_DEEP = 100  # folders in folders; what walks through them later may call itself for each
NOT_KEPT = "It is not kept."


def make_plain(folder: Path, *, most_bytes: int | None = None) -> None:
    """Sees to it that a folder holds folders and plain files alone, which we can read and nobody else can change.

    Args:
        most_bytes: Of all files, by their length: a file with holes takes little of the disk, and for ever to read.

    Raises:
        StoreFailed: It does not.
    """
    left = [(str(folder), 0)]
    size = 0
    try:
        while left:
            parent, depth = left.pop()
            _own_rights(parent, os.lstat(parent))
            for entry in list(os.scandir(parent)):
                told = entry.stat(follow_symlinks=False)
                check_plain(Path(entry.path), told)
                if stat.S_ISDIR(told.st_mode):
                    left.append((entry.path, depth + 1))
                    continue
                _own_rights(entry.path, told)
                size += told.st_size
            if depth > MOST_DEEP:
                raise StoreFailed(f"The model's process left folders more than {MOST_DEEP} deep.", hint=NOT_KEPT)
    except OSError as error:
        raise StoreFailed(f"What the model's process left cannot be looked through: {error.strerror}.", hint=NOT_KEPT) from error
    if most_bytes is not None and size > most_bytes:
        raise StoreFailed(f"The model's process left files of {size / 1e6:,.0f} MB.", hint=f"At most {most_bytes / 1e6:,.0f} MB.")


def _own_rights(path: str, told: os.stat_result) -> None:
    """Those of its owner, who may read it and look into it; none to write it for anybody else."""
    least = 0o700 if stat.S_ISDIR(told.st_mode) else 0o600
    wanted = (told.st_mode & 0o755) | least
    if stat.S_IMODE(told.st_mode) != wanted:
        os.chmod(path, wanted)


def check_plain(path: Path, told: os.stat_result, most_bytes: int | None = None) -> None:
    """Whether what was left at a path is a plain file, or a folder; of a file alone, of at most so many bytes.

    Raises:
        StoreFailed: It is not.
    """
    if not (stat.S_ISREG(told.st_mode) or (most_bytes is None and stat.S_ISDIR(told.st_mode))):
        raise StoreFailed(f"The model's process left {path.name!r}, which is not a plain file.", hint=NOT_KEPT)
    if most_bytes is not None and told.st_size > most_bytes:
        size, most = told.st_size / 1e6, most_bytes / 1e6
        raise StoreFailed(f"The model's process left a result of {size:,.0f} MB.", hint=f"At most {most:,.0f} MB are read.")


def is_own_folder(path: Path, home: Path) -> bool:
    """Whether it is a folder below `home` that no link leads to."""
    while path != home:
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return False
        except OSError:
            return False
        path = path.parent
    return True
