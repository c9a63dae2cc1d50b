"""The upload routes: files arrive in slices, go straight to disk, and resume where they stopped.

    POST   /engine-room/uploads                 {"files": [{"name": "a/b.pb", "size": 7}]} -> {"id": ...}
    GET    /engine-room/uploads/ID              {"state", "received": [bytes of each file], ...}
    PUT    /engine-room/uploads/ID/N?offset=K   a slice of file N, from byte K on
    POST   /engine-room/uploads/ID/finish       once every file is whole: starts to read it; ask GET how it goes.
                                                {"as": "data"} for an .npz, else a model with {"inputs", "outputs"}
    DELETE /engine-room/uploads/ID              forgets it, and ends its reading

Errors are {"message", "hint", "detail"}. The names are relative paths, as a folder's files have them.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.base.errors import InvalidRequest, NotFound
from core.base.progress import Report
from core.base.serialization import to_data
from core.storage.workspace import Workspace, default_workspace
from dashboard.data_files import take_in_data
from dashboard.intakes import take_in
from dashboard.reading import Reading, ReadingState, begin_reading, forget_reading, reading_of
from dashboard.routes import api, is_plain_text, json_body, pieces, whole_number
from dashboard.upload_folder import MAX_FILES, UploadedFile, UploadFolder, safe_name, upload_folders, uploads_folder
from dashboard.upload_room import room_in

STALE_SECONDS = 24 * 3600.0
MOST_TENSORS, NAME_BYTES = 10_000, 1_000  # of a frozen graph's inputs or outputs
BUFFER_BYTES = 1 << 20
START_BYTES = 8 << 20  # a list of MAX_FILES names

_beginning = threading.Lock()


def _asked(request: Request) -> UploadFolder:
    upload_id = request.path_params["upload"]
    path = uploads_folder(default_workspace()) / upload_id
    if not re.fullmatch(r"[0-9a-f]{32}", upload_id) or not path.is_dir():
        raise NotFound("This upload is not known any more.", hint="Start it again.")
    folder = UploadFolder(path)
    if not folder.manifest.files and reading_of(upload_id) is None:  # done, before the server was started anew
        raise NotFound("This upload is not known any more.", hint="Start it again.")
    return folder


@api
async def start(request: Request) -> Response:
    asked = await json_body(request, START_BYTES)
    files = await anyio.to_thread.run_sync(_files, asked)
    workspace = default_workspace()
    upload_id = secrets.token_hex(16)
    await anyio.to_thread.run_sync(_begin, workspace, upload_id, files)
    return JSONResponse({"id": upload_id})


def _files(asked: Any) -> tuple[UploadedFile, ...]:
    """What the upload is to bring.

    Raises:
        InvalidRequest: It does not say so, or not in a way that can be.
    """
    listed = asked.get("files") if isinstance(asked, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in listed):
        raise InvalidRequest("The upload did not say which files it brings.", hint="Reload the page and try again.")
    if not 0 < len(listed) <= MAX_FILES:
        raise InvalidRequest(f"An upload holds 1 to {MAX_FILES:,} files, not {len(listed):,}.", hint="Pack them as an archive.")
    return tuple(UploadedFile(name=safe_name(one["name"]), size=_size(one.get("size"))) for one in listed)


def _size(given: Any) -> int:
    if isinstance(given, str):
        raise InvalidRequest(f"{given[:40]!r} is no file's size.", hint="Reload the page and try again.")
    return whole_number(given, "file's size")


def _begin(workspace: Workspace, upload_id: str, files: tuple[UploadedFile, ...]) -> None:
    """Makes the upload's folder, if what it is to hold fits beside what others were promised.

    Raises:
        StoreFailed: It does not.
        InvalidRequest: Two of the files have the same name.
    """
    sweep(workspace)
    workspace.root.mkdir(parents=True, exist_ok=True)
    with _beginning:  # one after the other, so that each sees what the others were promised
        room_in(workspace).check(sum(file.size for file in files))
        UploadFolder(uploads_folder(workspace) / upload_id).create(files)


def sweep(workspace: Workspace, *, older_than_seconds: float = STALE_SECONDS) -> None:
    """Deletes uploads to which nothing has come for long."""
    for folder in upload_folders(workspace):
        touched = folder.touched_at
        if touched is not None and time.time() - touched > older_than_seconds and reading_of(folder.path.name) is None:
            shutil.rmtree(folder.path, ignore_errors=True)


@api
async def status(request: Request) -> Response:
    folder = await anyio.to_thread.run_sync(_asked, request)
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
    folder = await anyio.to_thread.run_sync(_asked, request)
    index = whole_number(request.path_params["index"], "number of a file")
    offset = whole_number(request.query_params.get("offset", "0"), "position in a file")
    writer = await anyio.to_thread.run_sync(folder.writer, index, offset)
    buffer = bytearray()
    try:
        async for piece in pieces(request):
            buffer += piece
            if len(buffer) >= BUFFER_BYTES:
                await anyio.to_thread.run_sync(writer.write, bytes(buffer))
                buffer.clear()
        await anyio.to_thread.run_sync(writer.write, bytes(buffer))
    finally:
        await anyio.to_thread.run_sync(writer.close)
    return JSONResponse({"received": writer.offset})


@api
async def finish(request: Request) -> Response:
    folder = await anyio.to_thread.run_sync(_asked, request)
    options = await json_body(request, START_BYTES)
    upload_id = folder.path.name
    reading = reading_of(upload_id)
    if reading is None or reading.state is ReadingState.FAILED:
        _reader(options, folder.path, "")  # before anything is moved: what is asked must make sense
        source, name = await anyio.to_thread.run_sync(folder.assemble)
        reading = begin_reading(upload_id, _reader(options, source, name), on_done=folder.empty)
    return JSONResponse(_told(reading), status_code=202)


def _reader(options: Any, source: Path, name: str) -> Callable[[Report], str]:
    """What takes the upload in and returns its digest."""
    if not isinstance(options, dict):
        raise InvalidRequest("The upload did not say what it is.", hint="Reload the page and try again.")
    if options.get("as") == "data":
        return partial(take_in_data, source)
    inputs, outputs = _names(options, "inputs"), _names(options, "outputs")
    return lambda report: take_in(source, name=name, inputs=inputs, outputs=outputs, owned=True, report=report)


def _names(options: Any, key: str) -> list[str]:
    """Names of tensors.

    Raises:
        InvalidRequest: They are none that a graph could have.
    """
    given = options.get(key, [])
    if not isinstance(given, list) or len(given) > MOST_TENSORS or not all(is_plain_text(name, NAME_BYTES) for name in given):
        raise InvalidRequest(f"The {key} are no names of tensors.", hint="Write them as the graph has them.")
    return [name for name in given if name.strip()]


@api
async def forget(request: Request) -> Response:
    folder = await anyio.to_thread.run_sync(_asked, request)
    await anyio.to_thread.run_sync(forget_reading, folder.path.name)
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder.path, ignore_errors=True))
    return JSONResponse({})


ROUTES = [
    Route("/engine-room/uploads", start, methods=["POST"]),
    Route("/engine-room/uploads/{upload}", status, methods=["GET"]),
    Route("/engine-room/uploads/{upload}", forget, methods=["DELETE"]),
    Route("/engine-room/uploads/{upload}/finish", finish, methods=["POST"]),
    Route("/engine-room/uploads/{upload}/{index}", put_slice, methods=["PUT"]),
]
