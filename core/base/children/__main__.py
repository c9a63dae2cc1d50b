"""The child: `python -m core.base.children MODULE:FUNCTION`, with the function's arguments on standard input, in a line.

An argument of the function that is called `report` tells the caller how far it is; one called `fetch` asks the caller for
something, and has its answer. Both cross as JSON.
"""

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

from core.base.box.box import Box
from core.base.box.enter import enter
from core.base.children.events import BOX_VARIABLE, die_with_parent, event_line, take_events
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

    def fetch(self, question: Any) -> Any:
        self.tell("fetch", question)
        answer = json.loads(sys.stdin.buffer.readline())
        if "error" in answer:
            raise from_data(Failure, answer["error"]).to_error()
        return answer["answer"]


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
    request = json.loads(sys.stdin.buffer.readline())
    module, _, name = target.partition(":")
    if box := os.environ.pop(BOX_VARIABLE, ""):
        try:
            enter(from_data(Box, json.loads(box)), keep=(events,), package=module.partition(".")[0])
        except (EngineRoomError, OSError) as error:
            teller.tell("error", Failure.of(_open_box(error)))
            return 1
    function = getattr(importlib.import_module(module), name)
    kinds = get_type_hints(function)
    arguments = {key: from_data(kinds[key], value) for key, value in request.items()}
    if "report" in kinds:
        arguments["report"] = teller.report
    if "fetch" in kinds:
        arguments["fetch"] = teller.fetch
    try:
        answer = function(**arguments)
    except EngineRoomError as error:
        teller.tell("error", Failure.of(error))
        return 1
    teller.tell("answer", answer)
    return 0


def _open_box(error: Exception) -> EngineRoomError:
    if isinstance(error, EngineRoomError):
        return error
    hint = "Set ENGINEROOM_SANDBOX=off to open models without walls, where you trust all who upload."
    return EngineRoomError(f"The walls around a model could not be put up: {error}.", hint=hint)


if __name__ == "__main__":
    try:
        code = main(sys.argv[1])
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # native runtimes may hang or crash while being torn down; the answer is given
