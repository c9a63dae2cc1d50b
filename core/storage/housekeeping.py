"""What a workspace holds, and giving space back: what nothing uses any more, and what was left half done."""

from __future__ import annotations

import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.base.errors import InvalidRequest, StoreFailed
from core.base.files import folder_bytes
from core.base.serialization import read_json
from core.storage.builds import BUILD_FILE, Build, State
from core.storage.duels import all_duels, duel_folder
from core.storage.rebuilds import rebuilds_file
from core.storage.store import artifacts_of
from core.storage.workspace import Workspace, is_in_use

STALE_SECONDS = 24 * 3600.0
CLOCK_SECONDS = 60.0  # by which the time of a file and that of a process may differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Bytes in the workspace by what they are for; `unused` is part of `artifacts`, `removable` what a collection takes of it."""

    models: int
    artifacts: int
    builds: int
    data: int
    partial: int
    unused: int
    removable: int
    free: int

    @property
    def total(self) -> int:
        return self.models + self.artifacts + self.builds + self.data + self.partial


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection deleted; sentences for people in `deleted`."""

    freed_bytes: int
    deleted: tuple[str, ...] = ()


def usage(workspace: Workspace) -> Usage:
    root = workspace.root
    free = shutil.disk_usage(root).free if root.exists() else 0
    unused = {key: folder_bytes(workspace.artifacts / key) for key in unused_artifacts(workspace)}
    return Usage(
        models=folder_bytes(workspace.models),
        artifacts=folder_bytes(workspace.artifacts),
        builds=folder_bytes(workspace.builds),
        data=folder_bytes(root / "data"),
        partial=folder_bytes(root / "tmp"),
        unused=sum(unused.values()),
        removable=sum(count for key, count in unused.items() if not _is_fresh(workspace.artifacts / key)),
        free=free,
    )


def unused_artifacts(workspace: Workspace) -> list[str]:
    """Keys of artifacts that no stored build names."""
    used = {key for folder in _folders(workspace.builds) for key in artifacts_of(folder)}
    return sorted(folder.name for folder in _folders(workspace.artifacts) if folder.name not in used)


def delete_build(workspace: Workspace, key: str) -> Collected:
    """Deletes a build with the artifacts that only it uses, and the head-to-heads that it took part in.

    Raises:
        InvalidRequest: It runs now.
        StoreFailed: The workspace cannot be written.
    """
    folder = workspace.build_folder(key)
    _refuse_running(folder)
    names = artifacts_of(folder)
    freed = _remove(workspace, folder)
    rebuilds_file(workspace, key).unlink(missing_ok=True)
    duels = [duel for duel in all_duels(workspace) if key in duel.keys]
    freed += sum(_remove(workspace, duel_folder(workspace, duel.key)) for duel in duels)
    unused = set(unused_artifacts(workspace))
    freed += sum(_remove(workspace, workspace.artifacts / name) for name in names if name in unused)
    return Collected(freed_bytes=freed, deleted=(f"build {key[:12]}",))


def delete_model(workspace: Workspace, digest: str) -> Collected:
    """Deletes a model, all its builds, and what only they use.

    Raises:
        NotFound: No such model is stored.
        InvalidRequest: One of its builds runs now.
        StoreFailed: The workspace cannot be written.
    """
    model = workspace.model(digest)
    keys = [key for key, build in _builds(workspace) if build.request.model == model.digest]
    for key in keys:
        _refuse_running(workspace.build_folder(key))
    done = [delete_build(workspace, key) for key in keys]
    freed = sum(one.freed_bytes for one in done) + _remove(workspace, workspace.model_folder(model.digest))
    return Collected(freed_bytes=freed, deleted=(f"model {model.name}", *(text for one in done for text in one.deleted)))


def sweep_partial(workspace: Workspace, *, older_than_seconds: float = STALE_SECONDS) -> Collected:
    """Deletes partial work whose process is gone, or has left it (on a read-only disk); another host's when it is old.

    A partial folder's name ends in `<host>.<process>-<random>`, see `Workspace.partial_folder`.
    """
    freed, deleted = 0, []
    for folder in _folders(workspace.root / "tmp"):
        head, _, _ = folder.name.rpartition("-")
        owner, _, pid = head.rpartition(".")
        here = owner.endswith(socket.gethostname()) and pid.isdigit()
        try:
            touched = folder.stat().st_mtime
            if here and int(pid) == os.getpid():
                stale = not is_in_use(folder)
            else:
                stale = _is_gone(int(pid), touched) if here else time.time() - touched > older_than_seconds
        except FileNotFoundError:
            continue  # settled or removed meanwhile
        if stale:
            freed += _remove(workspace, folder)
            deleted.append(f"partial work {folder.name}")
    return Collected(freed_bytes=freed, deleted=tuple(deleted))


def _is_gone(pid: int, touched: float) -> bool:
    """Whether the process that made a folder is gone; its number may be another's by now, which began later."""
    try:
        return bool(psutil.Process(pid).create_time() > touched + CLOCK_SECONDS)
    except psutil.NoSuchProcess:
        return True


def collect(workspace: Workspace, *, quota_bytes: int | None = None) -> Collected:
    """Deletes partial work, then artifacts that no build uses, then the oldest finished builds until the quota holds.

    Models and users' data are never deleted by this.

    Raises:
        StoreFailed: The workspace cannot be written.
    """
    swept = sweep_partial(workspace)
    freed, deleted = swept.freed_bytes, list(swept.deleted)
    for key in unused_artifacts(workspace):
        if _is_fresh(workspace.artifacts / key):
            continue  # of a build that runs now and has not told its name yet
        freed += _remove(workspace, workspace.artifacts / key)
        deleted.append(f"unused artifact {key[:12]}")
    if quota_bytes is None:
        return Collected(freed_bytes=freed, deleted=tuple(deleted))
    oldest = sorted(_builds(workspace), key=lambda pair: pair[1].finished_at or pair[1].created_at)
    total = usage(workspace).total
    for key, build in oldest:
        if total <= quota_bytes:
            break
        if build.state in (State.DONE, State.FAILED, State.CANCELLED):
            done = delete_build(workspace, key)
            total -= done.freed_bytes
            freed += done.freed_bytes
            deleted.append(f"build {key[:12]} of {build.request.path}")
    return Collected(freed_bytes=freed, deleted=tuple(deleted))


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _builds(workspace: Workspace) -> list[tuple[str, Build]]:
    found = []
    for folder in _folders(workspace.builds):
        try:
            found.append((folder.name, read_json(Build, folder / BUILD_FILE)))
        except StoreFailed:
            continue  # just begun, or of another release
    return found


def _refuse_running(folder: Path) -> None:
    """A build is running while one of its stages is a process here; its record may be one of a process that was killed.

    A stage's command line names the folder, see `core.stages.child`.
    """
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in (process.info["cmdline"] or ()):
            raise InvalidRequest(f"Build {folder.name[:12]} is running.", hint="Cancel it first: `engineroom cancel`.")


def _is_fresh(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime < 3600
    except FileNotFoundError:
        return True


def _remove(workspace: Workspace, folder: Path) -> int:
    """Moves a folder out of sight at once, then deletes it; bytes freed."""
    if not folder.exists():
        return 0
    freed = folder_bytes(folder)
    try:
        with workspace.partial_folder("deleted-") as grave:
            folder.rename(grave / folder.name)
    except StoreFailed:  # a full disk has no room for that either, and is to get some
        _delete(folder)
    except OSError as error:
        raise StoreFailed(f"Could not delete {folder}: {error.strerror}.", hint="Check the workspace's rights.") from error
    return freed


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreFailed(f"Could not delete {folder}: {error.strerror}.", hint="Check the workspace's rights.") from error
