"""Calls a function in a process of its own: the one place that starts such processes, and listens to them."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, ParamSpec, Protocol, TypeVar, get_type_hints

from pydantic import ValidationError

from core.base.children.events import EVENTS_VARIABLE, Ending, EndingKind, read_events
from core.base.errors import Failure
from core.base.progress import Progress, Report, silent
from core.base.serialization import from_data, to_data

PROGRAM = "core.base.children"
LOG_TAIL_BYTES = 8_000

P = ParamSpec("P")
T = TypeVar("T")


class NoAnswer(Exception):
    """A child ended without an answer; whoever asked says what that means.

    Attributes:
        log: The end of what it printed.
    """

    def __init__(self, ending: Ending, log: str = "") -> None:
        super().__init__(ending.words)
        self.ending = ending
        self.log = log

    @property
    def last_line(self) -> str:
        """Its last words: of a traceback, the error; how it ended when it printed nothing."""
        return next((line.strip() for line in reversed(self.log.splitlines()) if line.strip()), self.ending.words)


class Process(Protocol):
    """A started child; `subprocess.Popen` is one."""

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def kill(self) -> None: ...


class Start(Protocol):
    """Starts a command; `request` becomes its standard input, `log` its output, and `events` it inherits."""

    def __call__(
        self, command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int
    ) -> Process: ...


def start_process(command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int) -> Process:
    """Starts it with nothing around it."""
    return subprocess.Popen(command, stdin=request, stdout=log, stderr=log, env=environment, pass_fds=(events,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """How a process is started that is to answer.

    Attributes:
        python: The interpreter that calls the function, of another toolchain perhaps.
        environment: Variables on top of this process's own; None takes one away.
        seconds: It is ended after so long; None for no limit.
        log: Where its output is appended; when None, it is kept for as long as the child lives.
        start: What starts it; a queued job's starts a guard around it.
        about: Words on the command line of a called function that say what it is at, for those who list processes.
    """

    python: str = sys.executable
    environment: Mapping[str, str | None] = field(default_factory=dict)
    seconds: float | None = None
    log: Path | None = None
    start: Start = start_process
    about: Sequence[str] = ()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a module's function there. Arguments and answer cross as JSON, by the function's annotations.

        An argument called `report` stays here and hears of the progress there; raising out of it ends the child.

        Raises:
            EngineRoomError: What the function raised.
            NoAnswer: It raised anything else, or its process ended; see `ask`.
        """
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
        report = arguments.pop("report", silent)
        command = [self.python, "-m", PROGRAM, f"{function.__module__}:{function.__qualname__}", *self.about]
        told = self.ask(command, to_data(arguments), report)
        try:
            answer: T = from_data(get_type_hints(function)["return"], told)
        except ValidationError as error:
            raise NoAnswer(Ending(kind=EndingKind.EXITED, words="gave an answer that is none"), str(error)) from error
        return answer

    def ask(self, command: Sequence[str], request: Any, report: Report = silent) -> Any:
        """Runs a command that speaks as `core.base.children` tells, and returns its answer.

        Raises:
            EngineRoomError: What the child told.
            NoAnswer: It could not be started, or ended without a word, by itself or because of a limit.
        """
        request_end, write_end = os.pipe()
        read_end, events_end = os.pipe()
        with (
            os.fdopen(write_end, "wb") as requests,
            os.fdopen(read_end, "rb") as events,
            self.log.open("a+b") if self.log else tempfile.TemporaryFile() as log,
        ):
            try:
                process = self.start(
                    list(command), environment=self._environment(events_end), request=request_end, log=log, events=events_end
                )
            except OSError as error:
                words = f"could not be started: {error.strerror}"
                raise NoAnswer(Ending(kind=EndingKind.EXITED, words=words)) from error
            finally:
                os.close(request_end)
                os.close(events_end)
            told = self._hear(process, requests, json.dumps(request).encode(), events, report)
            if "answer" in told:
                return told["answer"]
            if "error" in told:
                raise told["error"].to_error()
            raise NoAnswer(told["ending"], _tail(log))

    def _environment(self, events: int) -> dict[str, str]:
        """Everything that the child sees; unbuffered, so that its last words stand last."""
        whole = {**os.environ, "PYTHONUNBUFFERED": "1", **self.environment, EVENTS_VARIABLE: str(events)}
        return {name: value for name, value in whole.items() if value is not None}

    def _hear(self, process: Process, requests: IO[bytes], request: bytes, events: IO[bytes], report: Report) -> dict[str, Any]:
        """The last event of each kind, one of them an answer, an error or an ending. The process is gone afterwards."""
        told: dict[str, Any] = {}
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.seconds or 0.0, end)
        timer.daemon = True
        try:
            if self.seconds is not None:
                timer.start()
            with suppress(BrokenPipeError), requests:  # it ended before it read all
                requests.write(request)
            for kind, value in read_events(events):
                try:
                    told[kind] = from_data(_KINDS.get(kind, object), value)
                except ValidationError:
                    continue
                if kind == "progress":
                    report(told[kind])
                if kind in ("answer", "error"):
                    break  # a process that it left behind may hold the events open
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.seconds is not None and late.is_set():
            told.setdefault("ending", Ending.at_time_limit(self.seconds))
        told.setdefault("ending", _ending(code))
        return told


_KINDS: dict[str, Any] = {"progress": Progress, "error": Failure, "ending": Ending}


def _ending(code: int) -> Ending:
    ending = Ending.of(code)
    return replace(ending, words=f"{ending.words} (out of memory?)") if code == -signal.SIGKILL else ending


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
    return log.read().decode(errors="replace")
