"""What our own JSON routes share: the token, small bodies, and errors as sentences."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from core.base.errors import EngineRoomError, Failure, InvalidRequest, NotFound, StoreFailed
from core.base.serialization import to_data
from dashboard.access import require_token

log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]


class Conflict(InvalidRequest):
    """The request came too early, too late, or beside another one."""


# The first that fits; other errors we can name are 422.
_STATUS = ((Conflict, 409), (InvalidRequest, 400), (NotFound, 404), (StoreFailed, 507))
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def api(handler: Handler) -> Handler:
    """A route for those who have a token; whatever goes wrong is told as {"message", "hint", "detail"}."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        try:
            require_token(request)
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            problem, status = _named(error)
            return JSONResponse(to_data(Failure.of(problem)), status_code=status)

    return guarded


def _named(error: Exception) -> tuple[EngineRoomError, int]:
    """Any error as one with a sentence, and the HTTP status for it."""
    if isinstance(error, HTTPException):
        return EngineRoomError(str(error.detail)), error.status_code
    if isinstance(error, EngineRoomError):
        return error, next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
    if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
        hint = "Free some space on the server, or check the workspace's rights."
        return StoreFailed(f"The server could not store it: {error.strerror}.", hint=hint), 507
    log.error("A route failed", exc_info=error)
    return EngineRoomError(f"The server failed: {type(error).__name__}.", hint="Try again; its log has the details."), 500


async def json_body(request: Request, limit: int) -> Any:
    """The request's body, {} when there is none.

    Raises:
        InvalidRequest: It is too long or no JSON.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise InvalidRequest(f"The request is longer than {limit >> 20} MB.", hint="Pack the files as an archive.")
    try:
        return json.loads(bytes(body)) if body else {}
    except ValueError:
        raise InvalidRequest("The request is no JSON.", hint="Reload the page and try again.") from None
