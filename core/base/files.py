"""Files and folders, as far as more than one part asks about them."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

WORKSPACE_VARIABLE = "ENGINEROOM_WORKSPACE"
_WRITING = threading.Lock()
CACHES = "caches"  # of a workspace: what the builders and runtimes of GPUs keep


# Weights pack to about 0.9 of their size; only constant ones pack below a hundredth.
UNPACKED_RATIO = 100
UNPACKED_FREE_BYTES = 1 << 30


def most_unpacked(path: Path, *, ratio: int = UNPACKED_RATIO, free_bytes: int = UNPACKED_FREE_BYTES) -> int:
    """Bytes that a packed file may unpack to: `ratio` for each of its own, beyond `free_bytes`."""
    return free_bytes + ratio * path.stat().st_size


def folder_bytes(folder: Path, names: Sequence[str] = ("",)) -> int:
    """Bytes of the files below each of `names` in `folder`; what is deleted meanwhile, or too deep for a path, counts not."""
    total = 0
    left = [str(folder / name) for name in names]
    while left:
        path = left.pop()
        with suppress(OSError):
            if os.path.isfile(path):  # of `names` alone
                total += os.stat(path).st_size
                continue
            for entry in list(os.scandir(path)):
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    elif entry.is_file():
                        total += entry.stat().st_size
    return total


def linked(file: Path, target: Path) -> bool:
    """Gives the file a second name; False where that cannot be, on another file system or one without links."""
    try:
        os.link(file.resolve(), target)
    except OSError:
        return False
    return True


def link_or_copy(file: Path | str, target: Path | str) -> None:
    """A second name for the file where that can be, else a copy; fits `shutil.copytree`."""
    if not linked(Path(file), Path(target)):
        shutil.copyfile(file, target)


def clear_away(folder: Path) -> None:
    """Deletes a folder that a model's process could write to, as far as that can be: folders without end, and closed ones too."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        for command in (("chmod", "-R", "u+rwx"), ("rm", "-rf")):
            with suppress(OSError):
                subprocess.run([*command, "--", str(folder)], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: one that was there stays until then.

    Raises:
        OSError: The folder is full or not writable.
    """
    partial = path.with_name(f".{path.name}.partial")
    with _WRITING:  # threads that write one file would take the partial one from each other
        try:
            partial.write_bytes(data)
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def workspace_root() -> Path:
    """The folder named by ENGINEROOM_WORKSPACE, else `~/.local/share/engine-room` (or below XDG_DATA_HOME)."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return Path(os.environ.get(WORKSPACE_VARIABLE) or data / "engine-room").absolute()
