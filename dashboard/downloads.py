"""The download routes: files go from disk to the browser and never through a page's memory.

GET /engine-room/builds/KEY/engine?token=...   the engine, as a deployment takes it (a folder as .tar)
GET /engine-room/builds/KEY/model?token=...    the model it was built from, as the last preparing stage left it
GET /engine-room/builds/KEY/log?token=...      the build's log

GET /engine-room/models/DIGEST/nodes/TARGET/PLACE?signature=...&token=...
    one node that a target was asked about, as a small file; its place, from 1, among those of the target's answer
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

import anyio
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from core.base.errors import EngineRoomError, NotFound
from core.base.units import digest
from core.precision.calibration.ranges import UNCALIBRATED
from core.preflight.subgraph import suffix_of, write_subgraph
from core.stages.child import LOG_FILE
from core.stages.outcome import Outcome
from core.storage.workspace import Workspace, default_workspace
from dashboard import preflights, services
from dashboard.access import require_token
from dashboard.routes import whole_number


async def download(request: Request) -> Response:
    require_token(request)
    workspace = default_workspace()
    try:
        outcome = await anyio.to_thread.run_sync(_brought, request.path_params["build"])
        path = _path(workspace, outcome, request.path_params["what"])
    except EngineRoomError as error:
        raise HTTPException(404, str(error)) from None
    stem = stem_of(outcome, request.path_params["what"])
    if path.is_file():
        return FileResponse(path, filename=f"{stem}{path.suffix}")
    archive = await anyio.to_thread.run_sync(_archived, workspace, path, stem)
    return FileResponse(archive, filename=f"{stem}.tar", background=BackgroundTask(archive.unlink, missing_ok=True))


def stem_of(outcome: Outcome, what: str) -> str:
    """A file's name without its ending, which no other build's download has, nor another of this one's.

    That nobody is to deploy an engine, or the model it was built from, is in it.
    """
    asked = outcome.build.request
    stem = f"{Path(outcome.model.name).stem}-{asked.path}-{asked.precision.value}-{digest(outcome.build.key)}-{what}"
    stamped = outcome.stamp and what != "log"
    return f"{stem}-{UNCALIBRATED.replace(', ', '-').replace(' ', '-')}" if stamped else stem


def _brought(build: str) -> Outcome:
    """A build with its files on this host, wherever it was made.

    Raises:
        NotFound: There is none of that key.
    """
    outcome = services.queue().outcome(build)
    services.queue().bring_artifacts(outcome.build.key)
    return outcome


def _path(workspace: Workspace, outcome: Outcome, what: str) -> Path:
    """The file or folder asked for.

    Raises:
        NotFound: This build has no such thing.
    """
    if what == "log":
        path = workspace.build_folder(outcome.build.key) / LOG_FILE
        return _existing(path, "log")
    if what == "engine" and outcome.built:
        folder = workspace.artifacts / outcome.built.artifact
        return _existing(folder / outcome.built.engine.artifact, "engine")
    if what == "model" and outcome.prepared:
        prepared = outcome.prepared
        made = workspace.artifacts / prepared.artifact if prepared.artifact else None
        base = made or workspace.model_folder(outcome.model.digest) / "content"
        extra = [file for file in base.iterdir() if file.is_file() and file.suffix != ".json"] if made else []
        return _existing(base if len(extra) > 1 else base / prepared.entry, "model")
    raise NotFound(f"This build has no {what} to download.")


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise NotFound(f"The {what} of this build was deleted.", hint="Build it again.")
    return path


def _archived(workspace: Workspace, folder: Path, stem: str) -> Path:
    path = _temporary(workspace, ".tar")
    with tarfile.open(path, mode="w") as archive:
        archive.add(folder, arcname=stem)
    return path


def _temporary(workspace: Workspace, suffix: str) -> Path:
    """An empty file for one download."""
    parent = workspace.root / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=parent, prefix="download-", suffix=suffix)
    os.close(descriptor)
    return Path(name)


async def download_node(request: Request) -> Response:
    require_token(request)
    asked = request.path_params
    try:
        place = whole_number(asked["place"], "place in a list")
        path, name = await anyio.to_thread.run_sync(
            _node_file, asked["model"], asked["target"], place, request.query_params.get("signature")
        )
    except EngineRoomError as error:
        raise HTTPException(404, str(error)) from None
    return FileResponse(path, filename=name, background=BackgroundTask(path.unlink, missing_ok=True))


def _node_file(digest: str, backend: str, place: int, signature: str | None) -> tuple[Path, str]:
    """The file, to be deleted once it was sent, and its name for the user.

    Raises:
        EngineRoomError: There is no such answer or node, or it could not be written.
    """
    model = services.model(digest)
    told, _ = preflights.told(model, model.signature(signature).name)
    target = told.target(backend)
    if target is None or target.answer is None:
        raise NotFound("That target was not asked about this model.", hint="Run the preflight again.")
    nodes = target.answer.support.nodes
    if not 1 <= place <= len(nodes):
        raise NotFound("There is no such node.", hint="Reload the page.")
    node, suffix = nodes[place - 1], suffix_of(target.answer)
    path = _temporary(default_workspace(), suffix)
    try:
        write_subgraph(default_workspace(), model, target.answer, [node.name], path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, f"{Path(model.name).stem}-{node.op.rsplit('.', 1)[-1]}-{place}{suffix}"


ROUTES = [
    Route("/engine-room/builds/{build}/{what}", download, methods=["GET"]),
    Route("/engine-room/models/{model}/nodes/{target}/{place}", download_node, methods=["GET"]),
]
