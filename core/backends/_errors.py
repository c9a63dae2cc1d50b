"""What a runtime raised, in our words: one sentence of it in the message, the whole of it as detail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.base.errors import EngineRoomError
from core.base.reasons import plain_reason, shortened
from core.models.model import Format, Source
from core.onnxio.rules import broken_rule

_NODES = re.compile(r"\{\{(function_)?node .*")
ASK_OTHERS = "The model's preflight tells which other runtimes take it (`engineroom preflight`)."
_BOILERPLATE = re.compile(r"Graph execution error|Detected at node|<stack traces|File \"|\[\[$")


def whole(error: Exception) -> str:
    """All that a runtime's error says."""
    return str(getattr(error, "message", "") or error)


def first_line(error: Exception) -> str:
    """The line of it that tells what went wrong, without TensorFlow's stack of where."""
    lines = [stripped for line in plain_reason(whole(error)).splitlines() if (stripped := _NODES.sub("", line).strip())]
    telling = [line for line in lines if not _BOILERPLATE.match(line)] or lines or [type(error).__name__]
    return shortened(telling[0])


def onnx_hint(source: Source) -> str:
    """What to do about a model that a runtime cannot read: another will not read a user's file that breaks ONNX's own rules."""
    if source.format is Format.ONNX and not source.is_made and (rule := broken_rule(source.path)):
        return f"The file breaks ONNX's own rules ({rule}): export it again."
    return ASK_OTHERS


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
