"""The child: `python -m core.base.children MODULE:FUNCTION`, with the function's arguments on standard input."""

from __future__ import annotations

import importlib
import json
import os
import select
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

from core.base.children.events import die_with_parent, event_line, take_events
from core.base.errors import EngineRoomError, Failure
from core.base.progress import Progress
from core.base.serialization import from_data, to_data

PROGRESS_SECONDS = 0.1  # between two reports of one message


class _Teller:
    def __init__(self, events: int) -> None:
        self._events = events
        self._message: str | None = None
        self._told_at = 0.0

    def tell(self, kind: str, value: Any) -> None:
        line = event_line(kind, to_data(value))
        while line:
            line = line[os.write(self._events, line) :]

    def report(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.message != self._message or now - self._told_at > PROGRESS_SECONDS:
            self._message, self._told_at = progress.message, now
            self.tell("progress", progress)


def main(target: str) -> int:
    die_with_parent()
    events = take_events()
    listening = select.poll()
    listening.register(events, 0)
    if listening.poll(0):  # an error: the caller was gone before the kernel knew what to do then
        return 1
    with suppress(OSError):  # when memory runs out, this process is to go and not the caller
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    teller = _Teller(events)
    request = json.load(sys.stdin.buffer)
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    kinds = get_type_hints(function)
    arguments = {key: from_data(kinds[key], value) for key, value in request.items()}
    if "report" in kinds:
        arguments["report"] = teller.report
    try:
        answer = function(**arguments)
    except EngineRoomError as error:
        teller.tell("error", Failure.of(error))
        return 1
    teller.tell("answer", answer)
    return 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1])
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # native runtimes may hang or crash while being torn down; the answer is given
