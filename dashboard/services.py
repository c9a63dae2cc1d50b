"""What pages ask of `core`: one queue for the whole server, and what is stored, newest first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import streamlit as st

from core.base.errors import EngineRoomError, StoreFailed
from core.base.files import folder_bytes
from core.base.serialization import read_json
from core.benchmark.weakness import words
from core.jobs.queue import Queue
from core.models.model import Model
from core.precision.calibration.ranges import UNCALIBRATED
from core.stages.build import STAGE as BUILD
from core.stages.build import Built
from core.stages.measure import STAGE as MEASURE
from core.stages.outcome import NOT_CHECKED, Outcome, stamp_of
from core.stages.parity import STAGE as PARITY
from core.stages.stage import Stage, preparations_in
from core.storage.builds import BUILD_FILE, Build, State, result_file
from core.storage.duels import DUEL_FILE, Duel, all_duels
from core.storage.housekeeping import Usage, usage
from core.storage.workspace import Workspace, default_workspace

log = logging.getLogger(__name__)
T = TypeVar("T")
USAGE_SECONDS = 60.0


def workspace() -> Workspace:
    return default_workspace()


@st.cache_resource(show_spinner=False)
def _queue(root: Path) -> Queue:
    return Queue(Workspace(root))


def queue() -> Queue:
    """The queue, shared by every session of this server."""
    return _queue(default_workspace().root)


def model(digest: str) -> Model:
    """A stored model.

    Raises:
        NotFound: There is none of that digest.
    """
    return workspace().model(digest)


def models() -> list[Model]:
    """Every stored model that can be read."""
    return [found for path in _newest_first(workspace().models, "model.json") if (found := _readable(Model, path))]


def bring_runs() -> None:
    """Brings what runs on other hosts have found; what is here is shown all the same when that cannot be asked."""
    try:
        queue().bring_runs()
    except EngineRoomError as error:
        log.warning("What runs elsewhere have found could not be asked: %s", error)


def builds_of(digest: str) -> list[Build]:
    """The stored builds of a model."""
    bring_runs()
    found = (_readable(Build, path) for path in _newest_first(workspace().builds, BUILD_FILE))
    return [build for build in found if build and build.request.model == digest]


def recent_builds(limit: int) -> list[Build]:
    """The stored builds of all models that were begun or ended last."""
    bring_runs()
    found = (_readable(Build, path) for path in _newest_first(workspace().builds, BUILD_FILE))
    return list(islice((build for build in found if build), limit))


def duels() -> list[Duel]:
    """Every stored head-to-head, the newest first."""
    return list(_duels(duels_stamp()))


def duels_stamp() -> tuple[tuple[str, int], ...]:
    """Changes when a head-to-head does."""
    files = (workspace().root / "duels").glob(f"*/{DUEL_FILE}")
    return tuple(sorted((str(file), file.stat().st_mtime_ns) for file in files))


@st.cache_resource(max_entries=4, show_spinner=False)
def _duels(stamp: tuple[tuple[str, int], ...]) -> tuple[Duel, ...]:
    return tuple(all_duels(workspace()))


def model_name(digest: str) -> str:
    """What a model is called; its digest's beginning when it is not here any more."""
    try:
        return model(digest).name
    except EngineRoomError:
        return f"model {digest[:12]}"


def has_model(digest: str) -> bool:
    """Whether the model of exactly that digest is stored here."""
    return (workspace().model_folder(digest) / "model.json").exists()


def may_have_build(key: str) -> bool:
    """Whether a build can be shown: it is stored here, or may be brought from a shared store."""
    return (workspace().build_folder(key) / BUILD_FILE).exists() or queue().store is not None


def _newest_first(folder: Path, name: str) -> Iterator[Path]:
    dated = []
    for path in folder.glob(f"*/{name}"):
        try:
            dated.append((path.stat().st_mtime, path))
        except FileNotFoundError:
            continue  # deleted meanwhile
    yield from (path for _, path in sorted(dated, reverse=True))


def _left(folder: Path, stage: Stage[T]) -> T | None:
    return _readable(stage.result, result_file(folder, stage.name))


def _readable(kind: type[T], path: Path) -> T | None:
    try:
        return read_json(kind, path)
    except StoreFailed:  # just begun, just deleted, or of another release
        return None


def outcome(key: str) -> Outcome:
    """What a build found.

    Raises:
        NotFound: There is none of that key.
    """
    return queue().outcome(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of a build that lists show; None for what it has not found."""

    size_bytes: int | None
    median_ms: float | None
    on_par: bool | None
    verdict: str = NOT_CHECKED
    stamp: str = ""
    weak: str = ""


def figures(build: Build) -> Figures:
    """Read from the build's small files; its layers, which may be large, stay unread."""
    folder = workspace().build_folder(build.key)
    built, measured, parity = _left(folder, BUILD), _left(folder, MEASURE), _left(folder, PARITY)
    judged = not build.not_run and build.state not in (State.FAILED, State.CANCELLED)
    return Figures(
        size_bytes=built.engine.size_bytes if built else None,
        median_ms=measured.latency.median_ms if measured and not build.not_run else None,
        on_par=parity.on_par if parity and judged else None,
        verdict=parity.verdict if parity and judged else NOT_CHECKED,
        weak=words(measured.weaknesses) if measured and not build.not_run else "",
        stamp=UNCALIBRATED if build.request.precision.quantizes and _stamped(folder, built) else "",
    )


def weak_words(key: str) -> str:
    """What makes the latency of a stored build weak, "noisy, shared cores"; empty where nothing does, or none was measured."""
    folder = workspace().build_folder(key)
    try:
        changed = tuple(path.stat().st_mtime_ns for path in (folder / BUILD_FILE, result_file(folder, MEASURE.name)))
    except OSError:  # not measured, or not stored here
        return ""
    return _weak_words(folder, changed)


@st.cache_data(max_entries=256, show_spinner=False)
def _weak_words(folder: Path, changed: tuple[int, ...]) -> str:
    build, measured = _readable(Build, folder / BUILD_FILE), _left(folder, MEASURE)
    return words(measured.weaknesses) if build and measured and not build.not_run else ""


def _stamped(folder: Path, built: Built | None) -> bool:
    return bool(stamp_of(preparations_in(folder).values(), built))


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes in the workspace, unfinished uploads apart."""

    usage: Usage
    uploads: int


@st.cache_data(ttl=USAGE_SECONDS, show_spinner=False)
def _disk(root: Path) -> Disk:
    return Disk(usage=usage(Workspace(root)), uploads=folder_bytes(root / "uploads"))


def disk() -> Disk:
    """What the workspace holds, at most USAGE_SECONDS old."""
    return _disk(workspace().root)


def forget_disk() -> None:
    """Has the workspace measured anew when it is asked for."""
    _disk.clear()
