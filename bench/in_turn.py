"""Tasks that may end the process that does them: a child does one after the other, and the next child goes on behind it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any

CHILD = "--child"
_ANSWER = "answer: "
_LAST_WORDS = 300


class Ended(Exception):
    """The child did not answer; the message says how it ended."""


def done(module: str, tasks: Iterable[Any], seconds: float = 120, niceness: int = 0) -> Iterator[tuple[Any, Any]]:
    """Each task, and its answer as `answering` gave it, or an `Ended`.

    Args:
        module: What the child runs, as `python -m` and `--child`; it calls `answering`.
        tasks: Anything that JSON holds.
        seconds: That one task may take.
    """
    child = None
    try:
        for task in tasks:
            child = child or _Child(module, niceness)
            try:
                yield task, child.asked(task, seconds)
            except Ended as ended:
                child.end()
                child = None
                yield task, ended
    finally:
        if child:
            child.end()


def answering(answer: Callable[[Any], Any]) -> None:
    """The child's side: answers each task of standard input on standard output, which `answer` may write to as well."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what runtimes print is not an answer
    for line in sys.stdin:
        print(f"{_ANSWER}{json.dumps(answer(json.loads(line)))}", file=out, flush=True)


class _Child:
    def __init__(self, module: str, niceness: int) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        command = [*(["nice", "-n", str(niceness)] if niceness else []), sys.executable, "-m", module, CHILD]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, errors="replace"
        )
        self._tasks: IO[str] = self._process.stdin  # type: ignore[assignment]
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()

    def asked(self, task: Any, seconds: float) -> Any:
        before = os.fstat(self._errors.fileno()).st_size
        try:
            print(json.dumps(task), file=self._tasks, flush=True)
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise Ended(f"did not end within {seconds:g} s") from None
        except BrokenPipeError:
            line = ""
        if line.startswith(_ANSWER):
            return json.loads(line.removeprefix(_ANSWER))
        self._errors.seek(before)  # what it said of this task alone
        last = self._errors.read()[-_LAST_WORDS:].strip()
        raise Ended(f"ended the process: {self._process.wait()} {last}".strip())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._tasks, self._errors):
            with suppress(BrokenPipeError):
                stream.close()


def _read(stream: IO[str] | None, lines: queue.Queue[str]) -> None:
    for line in stream or ():
        lines.put(line)
    lines.put("")
