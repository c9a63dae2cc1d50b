"""The upload route: files arrive in slices, go straight to disk, and resume where they stopped.

    POST /engine-room/uploads                 {"files": [{"name": "a/b.pb", "size": 7}]} -> {"id": ...}
    GET  /engine-room/uploads/ID              {"received": [bytes of each file]}
    PUT  /engine-room/uploads/ID/N?offset=K   a slice of file N, from byte K on
    POST /engine-room/uploads/ID/finish       -> {"digest": ...}, once every file is whole
    DELETE /engine-room/uploads/ID            forgets it

Reading a model may take gigabytes, so `finish` does it in a child process.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.serialization import read_json, write_json
from core.workspace import default_workspace
from dashboard.access import require_token

MAX_FILES = 20_000
MANIFEST = "upload.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What one upload will hold; names are relative paths below its `files/`."""

    files: tuple[UploadedFile, ...]

    @property
    def top(self) -> str:
        """What to give to the intake: the only file, the common folder, or all files together."""
        tops = {PurePosixPath(file.name).parts[0] for file in self.files}
        return tops.pop() if len(tops) == 1 else "."


def _folder(request: Request) -> Path:
    upload_id = request.path_params["upload"]
    folder = default_workspace().root / "uploads" / upload_id
    if not re.fullmatch(r"[0-9a-f]{32}", upload_id) or not folder.is_dir():
        raise HTTPException(404, "This upload is not known any more. Start it again.")
    return folder


def _part(folder: Path, index: int) -> Path:
    return folder / f"{index}.part"


def _received(folder: Path, upload: Upload) -> list[int]:
    return [_part(folder, n).stat().st_size if _part(folder, n).exists() else 0 for n in range(len(upload.files))]


def _safe_name(name: str) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or any(part in ("", ".", "..", "/") for part in parts):
        raise HTTPException(400, f"{name!r} is not a file name we can store.")
    return "/".join(parts)


async def start(request: Request) -> Response:
    require_token(request)
    try:
        asked = (await request.json())["files"]
        files = tuple(UploadedFile(name=_safe_name(str(f["name"])), size=int(f["size"])) for f in asked)
    except (KeyError, TypeError, ValueError):
        raise HTTPException(400, "The upload did not say which files it brings.") from None
    if not 0 < len(files) <= MAX_FILES:
        raise HTTPException(400, f"An upload holds 1 to {MAX_FILES} files, not {len(files)}.")
    root = default_workspace().root
    root.mkdir(parents=True, exist_ok=True)
    need, free = sum(file.size for file in files), shutil.disk_usage(root).free
    if 2 * need > free:  # the slices, and the stored model
        raise HTTPException(507, f"{need / 1e9:.1f} GB do not fit: {free / 1e9:.1f} GB are free on the server's disk.")
    upload_id = secrets.token_hex(16)
    folder = root / "uploads" / upload_id
    folder.mkdir(parents=True)
    write_json(folder / MANIFEST, Upload(files=files))
    return JSONResponse({"id": upload_id})


async def status(request: Request) -> Response:
    require_token(request)
    folder = _folder(request)
    return JSONResponse({"received": _received(folder, read_json(Upload, folder / MANIFEST))})


async def put_slice(request: Request) -> Response:
    require_token(request)
    folder = _folder(request)
    upload = read_json(Upload, folder / MANIFEST)
    index, offset = request.path_params["index"], int(request.query_params.get("offset", "0"))
    if index >= len(upload.files):
        raise HTTPException(404, "This upload has no such file.")
    part, size = _part(folder, index), upload.files[index].size
    have = part.stat().st_size if part.exists() else 0
    if offset > have:
        raise HTTPException(409, f"A slice is missing: {have} bytes have arrived, this one starts at {offset}.")
    async with await anyio.open_file(part, "r+b" if part.exists() else "wb") as stream:
        await stream.seek(offset)
        async for chunk in request.stream():
            offset += len(chunk)
            if offset > size:
                raise HTTPException(413, "More bytes have arrived than the file was said to have.")
            await stream.write(chunk)
    return JSONResponse({"received": offset})


async def finish(request: Request) -> Response:
    require_token(request)
    folder = _folder(request)
    upload = read_json(Upload, folder / MANIFEST)
    if _received(folder, upload) != [file.size for file in upload.files]:
        raise HTTPException(409, "Not all files have arrived yet.")
    await anyio.to_thread.run_sync(_assemble, folder, upload)
    options = await request.json() if await request.body() else {}
    command = ["-m", "core.cli", "inspect", str((folder / "files" / upload.top).resolve()), "--json"]
    for name in options.get("inputs", []):
        command += ["--input-name", str(name)]
    for name in options.get("outputs", []):
        command += ["--output-name", str(name)]
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
    try:
        answer = json.loads(output)
    except json.JSONDecodeError:
        raise HTTPException(500, "Reading the model ended without an answer; it may be too large for this machine.") from None
    if "error" in answer:
        return JSONResponse(answer["error"], status_code=422)
    return JSONResponse({"digest": answer["digest"], "name": answer["name"]})


def _assemble(folder: Path, upload: Upload) -> None:
    for index, file in enumerate(upload.files):
        target = folder / "files" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _part(folder, index)
        part.rename(target) if part.exists() else target.touch()


async def forget(request: Request) -> Response:
    require_token(request)
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(_folder(request), ignore_errors=True))
    return JSONResponse({})


ROUTES = [
    Route("/engine-room/uploads", start, methods=["POST"]),
    Route("/engine-room/uploads/{upload}", status, methods=["GET"]),
    Route("/engine-room/uploads/{upload}", forget, methods=["DELETE"]),
    Route("/engine-room/uploads/{upload}/finish", finish, methods=["POST"]),
    Route("/engine-room/uploads/{upload}/{index:int}", put_slice, methods=["PUT"]),
]
