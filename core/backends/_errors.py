"""What a runtime raised, in our words: one sentence of it in the message, the whole of it as detail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.base.errors import EngineRoomError

_NODES = re.compile(r"\{\{(function_)?node .*")
# Where in its sources ONNX Runtime gave up: a file, a line and a whole C++ signature, before the reason.
_ORIGIN = re.compile(r"/[^\s:]+\.(?:cc|h|hpp|cpp|cu):\d+ [^()\n]*\((?:[^()\n]|\([^()\n]*\))*\)(?: const)?(?: \[[^\]\n]*\])? ?")
_FOLDERS = re.compile(r"(?<![\w.:])/(?:[^\s/:]+/){3,}")  # of a path: which file it is tells its name
_MOST_LETTERS = 400
_BOILERPLATE = re.compile(r"Graph execution error|Detected at node|<stack traces|File \"|\[\[$")


def whole(error: Exception) -> str:
    """All that a runtime's error says."""
    return str(getattr(error, "message", "") or error)


def first_line(error: Exception) -> str:
    """The line of it that tells what went wrong, without TensorFlow's stack of where."""
    text = _FOLDERS.sub("", _ORIGIN.sub("", whole(error)))
    lines = [stripped for line in text.splitlines() if (stripped := _NODES.sub("", line).strip())]
    telling = [line for line in lines if not _BOILERPLATE.match(line)] or lines or [type(error).__name__]
    line = telling[0]
    if len(line) <= _MOST_LETTERS:
        return line
    half = _MOST_LETTERS // 2  # what failed stands first, and why often last
    return f"{line[:half]} ... {line[-half:]}"


def failure(
    kind: type[EngineRoomError],
    what: str,
    error: Exception,
    *,
    hint: str | Callable[[Exception], str] = "",
    sentence: Callable[[Exception], str] = first_line,
) -> EngineRoomError:
    """What a runtime raised, as an error of `kind`.

    Args:
        what: What failed, without a full stop; `sentence` of the error follows it.
        hint: What to do about it, or how to tell that from the error.
    """
    advice = hint if isinstance(hint, str) else hint(error)
    return kind(f"{what}: {sentence(error)}", hint=advice, detail=whole(error))


@contextmanager
def told_as(
    kind: type[EngineRoomError],
    what: str,
    *,
    hint: str | Callable[[Exception], str] = "",
    sentence: Callable[[Exception], str] = first_line,
) -> Iterator[None]:
    """Turns whatever a runtime raises in the block into `failure`'s error; our own errors pass.

    Not for a run that is measured: entering a block takes a microsecond.

    Raises:
        EngineRoomError: The block raised.
    """
    try:
        yield
    except EngineRoomError:
        raise
    except Exception as error:
        raise failure(kind, what, error, hint=hint, sentence=sentence) from error
