"""The upload routes: files arrive in slices, go straight to disk, and resume where they stopped.

    POST   /engine-room/uploads                 {"files": [{"name": "a/b.pb", "size": 7}]} -> {"id": ...}
    GET    /engine-room/uploads/ID              {"state", "received": [bytes of each file], ...}
    PUT    /engine-room/uploads/ID/N?offset=K   a slice of file N, from byte K on
    POST   /engine-room/uploads/ID/finish       once every file is whole: starts to read it; ask GET how it goes.
                                                {"as": "data"} for an .npz, else a model with {"inputs", "outputs"}
    DELETE /engine-room/uploads/ID              forgets it

Errors are {"message", "hint", "detail"}. The names are relative paths, as a folder's files have them.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.base.errors import InvalidRequest, NotFound, StoreFailed
from core.base.progress import Report
from core.base.serialization import to_data
from core.storage.workspace import Workspace, default_workspace
from dashboard.data_files import take_in_data
from dashboard.intakes import take_in
from dashboard.reading import Reading, ReadingState, begin_reading, forget_reading, reading_of
from dashboard.routes import api, json_body
from dashboard.upload_folder import MAX_FILES, UploadedFile, UploadFolder, safe_name

STALE_SECONDS = 24 * 3600.0
BUFFER_BYTES = 1 << 20
START_BYTES = 8 << 20  # a list of MAX_FILES names


def uploads_folder(workspace: Workspace) -> Path:
    return workspace.root / "uploads"


def _asked(request: Request) -> UploadFolder:
    upload_id = request.path_params["upload"]
    path = uploads_folder(default_workspace()) / upload_id
    if not re.fullmatch(r"[0-9a-f]{32}", upload_id) or not path.is_dir():
        raise NotFound("This upload is not known any more.", hint="Start it again.")
    return UploadFolder(path)


@api
async def start(request: Request) -> Response:
    try:
        asked = (await json_body(request, START_BYTES))["files"]
        files = tuple(UploadedFile(name=safe_name(str(f["name"])), size=int(f["size"])) for f in asked)
    except (KeyError, TypeError, ValueError):
        raise InvalidRequest("The upload did not say which files it brings.", hint="Reload the page and try again.") from None
    if not 0 < len(files) <= MAX_FILES:
        raise InvalidRequest(f"An upload holds 1 to {MAX_FILES:,} files, not {len(files):,}.", hint="Pack them as an archive.")
    workspace = default_workspace()
    await anyio.to_thread.run_sync(_make_room, workspace, sum(file.size for file in files))
    upload_id = secrets.token_hex(16)
    await anyio.to_thread.run_sync(lambda: UploadFolder(uploads_folder(workspace) / upload_id).create(files))
    return JSONResponse({"id": upload_id})


def _make_room(workspace: Workspace, need: int) -> None:
    """Sweeps what was left, then checks that the slices and the stored model fit."""
    sweep(workspace)
    workspace.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(workspace.root).free
    if 2 * need > free:
        raise StoreFailed(
            f"{need / 1e9:.1f} GB do not fit: {free / 1e9:.1f} GB are free on the server's disk, and twice the size is needed.",
            hint="Free some space: delete models or builds, or run `engineroom gc`.",
        )


def sweep(workspace: Workspace, *, older_than_seconds: float = STALE_SECONDS) -> None:
    """Deletes uploads to which nothing has come for long."""
    folders = uploads_folder(workspace)
    for path in folders.iterdir() if folders.is_dir() else ():
        if time.time() - UploadFolder(path).touched_at > older_than_seconds and reading_of(path.name) is None:
            shutil.rmtree(path, ignore_errors=True)


@api
async def status(request: Request) -> Response:
    folder = _asked(request)
    received = await anyio.to_thread.run_sync(folder.received)
    return JSONResponse({"received": received, **_told(reading_of(folder.path.name))})


def _told(reading: Reading | None) -> dict[str, Any]:
    if reading is None:
        return {"state": "receiving"}
    return {
        "state": reading.state.value,
        "message": reading.message,
        "fraction": reading.fraction,
        "digest": reading.digest,
        "error": to_data(reading.error),
    }


@api
async def put_slice(request: Request) -> Response:
    folder = _asked(request)
    offset = request.query_params.get("offset", "0")
    if not offset.isdecimal():
        raise InvalidRequest(f"{offset!r} is no position in a file.", hint="Reload the page and try again.")
    writer = await anyio.to_thread.run_sync(lambda: folder.writer(request.path_params["index"], int(offset)))
    buffer = bytearray()
    try:
        async for chunk in request.stream():
            buffer += chunk
            if len(buffer) >= BUFFER_BYTES:
                await anyio.to_thread.run_sync(writer.write, bytes(buffer))
                buffer.clear()
        await anyio.to_thread.run_sync(writer.write, bytes(buffer))
    finally:
        await anyio.to_thread.run_sync(writer.close)
    return JSONResponse({"received": writer.offset})


@api
async def finish(request: Request) -> Response:
    folder = _asked(request)
    options = await json_body(request, START_BYTES)
    upload_id = folder.path.name
    reading = reading_of(upload_id)
    if reading is None or reading.state is ReadingState.FAILED:
        source, name = await anyio.to_thread.run_sync(folder.assemble)
        reading = begin_reading(upload_id, _reader(options, source, name), on_done=folder.empty)
    return JSONResponse(_told(reading), status_code=202)


def _reader(options: Any, source: Path, name: str) -> Callable[[Report], str]:
    """What takes the upload in and returns its digest."""
    if isinstance(options, dict) and options.get("as") == "data":
        return partial(take_in_data, source)
    inputs, outputs = _names(options, "inputs"), _names(options, "outputs")
    return lambda report: take_in(source, name=name, inputs=inputs, outputs=outputs, owned=True, report=report)


def _names(options: Any, key: str) -> list[str]:
    given = options.get(key, []) if isinstance(options, dict) else []
    return [str(name) for name in given if str(name).strip()] if isinstance(given, list) else []


@api
async def forget(request: Request) -> Response:
    folder = _asked(request)
    forget_reading(folder.path.name)
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder.path, ignore_errors=True))
    return JSONResponse({})


ROUTES = [
    Route("/engine-room/uploads", start, methods=["POST"]),
    Route("/engine-room/uploads/{upload}", status, methods=["GET"]),
    Route("/engine-room/uploads/{upload}", forget, methods=["DELETE"]),
    Route("/engine-room/uploads/{upload}/finish", finish, methods=["POST"]),
    Route("/engine-room/uploads/{upload}/{index:int}", put_slice, methods=["PUT"]),
]
