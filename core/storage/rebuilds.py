"""What earlier builds of a request took: built again, an engine can be another, as builders choose kernels by timing them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.base.errors import StoreFailed
from core.base.serialization import read_json, write_json
from core.benchmark.measurement import Measurement
from core.storage.builds import BUILD_FILE, Build, StageName, State, result_file
from core.storage.workspace import Workspace

MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """One build of a request that another has taken the place of.

    Attributes:
        created_at: `Build.created_at`.
        where: Host and GPU that it was measured on.
    """

    created_at: float
    median_ms: float
    where: str


def where_measured(measured: Measurement) -> str:
    return " ".join(text for name in ("host", "gpu") if (text := measured.machine.get(name, "")))


def rebuilds_of(workspace: Workspace, key: str) -> tuple[Rebuild, ...]:
    """The earlier ones, oldest first."""
    with suppress(StoreFailed):
        return read_json(tuple[Rebuild, ...], rebuilds_file(workspace, key))
    return ()


def rebuilds_file(workspace: Workspace, key: str) -> Path:
    return workspace.root / "rebuilds" / f"{key}.json"


def remember(workspace: Workspace, key: str) -> None:
    """Keeps the figure of a build that is about to be forgotten, if it was measured."""
    folder = workspace.build_folder(key)
    try:
        build, measured = read_json(Build, folder / BUILD_FILE), read_json(Measurement, result_file(folder, StageName.MEASURE))
    except StoreFailed:
        return
    known = rebuilds_of(workspace, key)
    if build.state is not State.DONE or any(one.created_at == build.created_at for one in known):
        return
    told = Rebuild(created_at=build.created_at, median_ms=measured.latency.median_ms, where=where_measured(measured))
    file = rebuilds_file(workspace, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, (*known, told)[-MOST:])
