"""Turns what converters throw and log into errors that say what failed and what to do."""

from __future__ import annotations

import logging
import re
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from core.base.errors import ConversionFailed, EngineRoomError, UnsupportedOps
from core.base.reasons import plain_reason, shortened, without_places
from core.base.units import listed

_NODES_NAMED = 3
_PREFIX = re.compile(r"^make_sure failure: ")  # how tf2onnx marks its assertions
_MLIR_ERROR = re.compile(r"^(?:.*?<unknown>:\d+: )?error: ")
_UNREGISTERED = re.compile(r"Op type not registered '([^']+)'")


class ConverterLog(logging.Handler):
    """Listens to a converter's logger: the end of what it says, and each record for those who look for one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=60)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines.append(f"{record.levelname.lower()}: {record.getMessage()}")

    @property
    def tail(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def explained(tool: str, what: str, *, logger: str, hint: Callable[[Exception], str] = lambda _: "") -> Iterator[ConverterLog]:
    """Whatever a converter throws inside becomes a `ConversionFailed` with its last words.

    Args:
        tool: For the message: "tf2onnx".
        what: What it was asked to convert: "resnet50 (serving_default)".
        logger: Name of the logger that the tool writes to.
        hint: What to do, by what it raised; empty where nothing is known to help.

    Raises:
        ConversionFailed: The tool failed.
        UnsupportedOps: It failed because TensorFlow here does not know an op.
    """
    log = ConverterLog()
    listened = logging.getLogger(logger)
    listened.addHandler(log)
    try:
        yield log
    except (EngineRoomError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault
        detail = f"{log.tail}\n{traceback.format_exc()}".strip()
        if found := _UNREGISTERED.search(str(error)):
            raise UnsupportedOps(
                f"TensorFlow here does not know the op {found[1]} that {what} uses.",
                hint="It comes from a custom op library. Export the model without it.",
                detail=detail,
            ) from error
        raise ConversionFailed(
            f"{tool} could not convert {what}: {last_words(error)}.",
            hint=hint(error) or "The log's end tells more.",
            detail=detail,
        ) from error
    finally:
        listened.removeHandler(log)


def last_words(error: BaseException) -> str:
    """The first line of an exception's text that says something, a sentence without its full stop.

    Of MLIR's messages, the first error without the place in the graph that it begins with.
    """
    lines = [line.strip() for line in plain_reason(str(error)).splitlines()]
    if errors := [line for line in lines if _MLIR_ERROR.match(line)]:
        lines = [without_places(_MLIR_ERROR.sub("", line)) for line in errors]
    words = next((line for line in lines if re.search(r"\w{3}", line)), type(error).__name__)
    return shortened(_PREFIX.sub("", words)).rstrip(" .:")


def unsupported(tool: str, what: str, nodes: Mapping[str, Sequence[str]], *, detail: str = "") -> UnsupportedOps:
    """The error for ops without a translation.

    Args:
        tool: Who has none.
        what: What was to be converted.
        nodes: Names of the nodes that use each op type; none where the tool does not tell.
        detail: The log's end.
    """
    named = "; ".join(f"{op} ({_listed(names)})" if names else op for op, names in sorted(nodes.items()))
    return UnsupportedOps(
        f"{tool} has no translation for {len(nodes)} op type{'s' if len(nodes) > 1 else ''} of {what}: {named}.",
        hint="Export the model without these steps and do them before or after it, or run it in its own framework.",
        detail=detail,
    )


def _listed(names: Sequence[str]) -> str:
    shown = [name.split(";")[0] for name in names]  # a fused TFLite op has the names of all its parts
    return f"{'node' if len(names) == 1 else 'nodes'} {listed(shown, _NODES_NAMED)}"
