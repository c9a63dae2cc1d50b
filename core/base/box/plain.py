"""What a boxed process leaves is looked at before anybody else reads it: no link, no device, no rights for others."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core.base.errors import StoreFailed


def make_plain(folder: Path) -> None:
    """Sees to it that a folder holds folders and plain files alone, with rights that nobody but us has.

    Raises:
        StoreFailed: It does not.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            told = os.lstat(path)
            check_plain(Path(path), told)
            if (told.st_mode & 0o7777) & ~0o755:
                os.chmod(path, told.st_mode & 0o755)


def check_plain(path: Path, told: os.stat_result, most_bytes: int | None = None) -> None:
    """Whether what was left at a path is a plain file, or a folder; of a file alone, of at most so many bytes.

    Raises:
        StoreFailed: It is not.
    """
    if not (stat.S_ISREG(told.st_mode) or (most_bytes is None and stat.S_ISDIR(told.st_mode))):
        raise StoreFailed(f"The model's process left {path.name}, which is not a plain file.", hint="It is not kept.")
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
