"""Every error a user can meet: what failed and what was asked (`message`), and what to do (`hint`).

Errors are stored and cross process boundaries as a `Failure`.
"""

from __future__ import annotations

from dataclasses import dataclass


class EngineRoomError(Exception):
    """Something failed for a reason we can name.

    Args:
        message: What failed, and what was asked for.
        hint: What the user can do about it.
        detail: Long text for those who want it: a log's end, a traceback.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return _together(self.message, self.hint)


def _together(message: str, hint: str) -> str:
    """Both as sentences; what a library said may not end as one."""
    end = "." if hint and message and not message.endswith((".", "!", "?", ":")) else ""
    return f"{message}{end} {hint}".strip()


def plain_text(text: str, most_letters: int) -> str:
    """Text as every store and page takes it: no half of a surrogate pair, no NUL, no more than so many letters."""
    cut = text if len(text) <= most_letters else f"{text[: most_letters - 1]}…"
    return cut.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{SYMBOL FOR NULL}")


def first_line(error: Exception) -> str:
    """The first line of what a library raised; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class InvalidRequest(EngineRoomError):
    """The request itself is wrong: an unknown path, signature, axis or option."""

    exit_code = 2


class UnsupportedModel(EngineRoomError):
    """The file is not a format we read, or not one we can read here."""

    exit_code = 3


class BrokenModel(EngineRoomError):
    """The file claims a format and does not hold to it."""

    exit_code = 3


class NotFound(EngineRoomError):
    """No model, build or artifact of that name is stored here."""

    exit_code = 3


class Unavailable(EngineRoomError):
    """A backend or a conversion cannot work on this machine."""

    exit_code = 4


class ConversionFailed(EngineRoomError):
    """A converter could not carry the model over."""

    exit_code = 5


class UnsupportedOps(ConversionFailed):
    """The converter has no translation for some ops; `message` names them and the nodes that use them."""


class BuildFailed(EngineRoomError):
    """The runtime refused or failed to build the engine."""

    exit_code = 6


class RunFailed(EngineRoomError):
    """A built engine failed while running."""

    exit_code = 7


class StageCrashed(EngineRoomError):
    """A stage's process ended without an answer: a signal, a limit, a crash in native code."""

    exit_code = 8


class Cancelled(EngineRoomError):
    """Someone asked for it to stop."""

    exit_code = 9


class StoreFailed(EngineRoomError):
    """The workspace could not be read or written: full, read-only, gone."""

    exit_code = 10


def _known() -> dict[str, type[EngineRoomError]]:
    found: dict[str, type[EngineRoomError]] = {}
    queue = [EngineRoomError]
    while queue:
        kind = queue.pop()
        found[kind.__name__] = kind
        queue.extend(kind.__subclasses__())
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as it is stored and sent; `kind` is the name of its class."""

    kind: str
    message: str
    hint: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return _together(self.message, self.hint)

    @classmethod
    def of(cls, error: EngineRoomError) -> Failure:
        return cls(kind=type(error).__name__, message=error.message, hint=error.hint, detail=error.detail)

    def shown(self) -> Failure:
        """As it can be stored and shown, whoever told it."""
        return Failure(
            kind=plain_text(self.kind, 100),
            message=plain_text(self.message, 10_000),
            hint=plain_text(self.hint, 2_000),
            detail=plain_text(self.detail, 100_000),
        )

    def to_error(self) -> EngineRoomError:
        """The error again; a kind that is not known here becomes an EngineRoomError."""
        kind = _known().get(self.kind, EngineRoomError)
        return kind(self.message, hint=self.hint, detail=self.detail)
