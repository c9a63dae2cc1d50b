"""What our own JSON routes share: the token, small bodies, and errors as sentences."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any

import anyio
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


class TooSlow(InvalidRequest):
    """The rest of a request did not come."""


# The first that fits; other errors we can name are 422.
_STATUS = ((Conflict, 409), (TooSlow, 408), (InvalidRequest, 400), (NotFound, 404), (StoreFailed, 507))
BODY_SECONDS = 60.0  # between two pieces of a request
MOST_DIGITS = 18  # of a number in an address
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
            headers = {"connection": "close"} if status == 408 else None
            return JSONResponse(to_data(Failure.of(problem)), status_code=status, headers=headers)

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


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The request's body as it comes.

    Raises:
        TooSlow: Nothing has come for BODY_SECONDS.
    """
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(BODY_SECONDS):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TooSlow(f"Nothing has come for {BODY_SECONDS:g} s.", hint="Check the connection and try again.") from None
        yield piece


async def json_body(request: Request, limit: int) -> Any:
    """The request's body, {} when there is none.

    Raises:
        InvalidRequest: It is too long, or no JSON that can be read.
    """
    body = bytearray()
    async for piece in pieces(request):
        body += piece
        if len(body) > limit:
            raise InvalidRequest(f"The request is longer than {limit >> 20} MB.", hint="Pack the files as an archive.")
    try:
        return json.loads(bytes(body)) if body else {}
    except (ValueError, RecursionError):
        raise InvalidRequest("The request is no JSON that can be read.", hint="Reload the page and try again.") from None


def whole_number(text: object, what: str) -> int:
    """A number of the address or of the body.

    Raises:
        InvalidRequest: It is none: negative, of too many digits, in other letters.
    """
    if isinstance(text, int) and not isinstance(text, bool) and 0 <= text < 10**MOST_DIGITS:
        return text
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS:
        return int(text)
    raise InvalidRequest(f"{str(text)[:40]!r} is no {what}.", hint="Reload the page and try again.")


def is_plain_text(text: object, most_bytes: int) -> bool:
    """Whether it is text that files and logs can hold: no control characters, no halves of characters, not too long."""
    if not isinstance(text, str) or any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in text):
        return False
    try:
        return len(text.encode()) <= most_bytes
    except UnicodeEncodeError:
        return False
