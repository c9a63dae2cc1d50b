"""Calls a function in a process of its own: the one place that starts such processes, and listens to them."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ParamSpec, Protocol, TypeVar, get_type_hints

from pydantic import ValidationError

from core.base.box.box import Box
from core.base.box.environment import allowed
from core.base.children.bytecode import keep_bytecode
from core.base.children.crowd import Crowd
from core.base.children.events import BOX_VARIABLE, EVENTS_VARIABLE, MOST_BYTES, Ending, EndingKind, read_events
from core.base.children.kills import out_of_memory_kills
from core.base.children.stop import stoppable
from core.base.children.watch import Limits, Watch
from core.base.errors import EngineRoomError, Failure, StoreFailed
from core.base.progress import Progress, Report, silent
from core.base.serialization import from_data, to_data

PROGRAM = "core.base.children"
LOG_TAIL_BYTES = 8_000

Fetch = Callable[[Any], Any]  # a question and its answer, as JSON knows them

P = ParamSpec("P")
T = TypeVar("T")


def _refuse(question: Any) -> Any:
    raise StoreFailed(f"Nobody answers here: {question!r}.")


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
    """A started child."""

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def kill(self) -> None: ...

    @property
    def crowd(self) -> Crowd | None:
        """What counts its processes; None where a guard does."""

    def ending(self, code: int) -> Ending:
        """What it means that `wait` returned this and nothing else was told."""


class Start(Protocol):
    """Starts a command; `request` becomes its standard input, `log` its output, and `events` it inherits."""

    def __call__(
        self, command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int
    ) -> Process: ...


def start_process(command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int) -> Process:
    """Starts it with nothing around it, in a process group of its own, which no boxed process can leave."""
    return _Group(
        subprocess.Popen(
            command, stdin=request, stdout=log, stderr=log, env=environment, pass_fds=(events,), start_new_session=True
        )
    )


class _Group:
    """A process, and all that it started and left behind: they end with it."""

    def __init__(self, leader: subprocess.Popen[bytes]) -> None:
        self._leader, self._kernel_kills = leader, out_of_memory_kills()
        self.crowd: Crowd | None = Crowd(leader.pid)

    def poll(self) -> int | None:
        return self._leader.poll()

    def wait(self) -> int:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._leader.pid, os.WEXITED | os.WNOWAIT)  # the number stays its own until it is reaped
            self.kill()
        return self._leader.wait()

    def kill(self) -> None:
        if self._leader.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leader.pid, signal.SIGKILL)
            with suppress(PermissionError):  # a box on a kernel that cannot scope signals
                self._leader.kill()

    def ending(self, code: int) -> Ending:
        return Ending.of(code, for_memory=out_of_memory_kills() > self._kernel_kills)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """How a process is started that is to answer.

    Attributes:
        python: The interpreter that calls the function, of another toolchain perhaps.
        environment: Variables on top of this process's own; None takes one away.
        box: Closed around it before anything is opened there; of this process's variables it sees those that runtimes read.
        seconds: It is ended after so long; None for no limit.
        log: Where its output is appended; when None, it is kept for as long as the child lives.
        start: What starts it; a queued job's starts a guard around it.
        answer_bytes: Of one answer or question, which are parsed in this process.
        about: Words on the command line of a called function that say what it is at, for those who list processes.
    """

    python: str = sys.executable
    environment: Mapping[str, str | None] = field(default_factory=dict)
    box: Box | None = None
    seconds: float | None = None
    log: Path | None = None
    start: Start = start_process
    answer_bytes: int = MOST_BYTES
    about: Sequence[str] = ()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a module's function there. Arguments and answer cross as JSON, by the function's annotations.

        An argument called `report` stays here and hears of the progress there; one called `fetch` answers what is asked
        there. Raising an EngineRoomError out of `fetch` tells the child; raising anything else out of either ends the child.

        Raises:
            EngineRoomError: What the function raised.
            NoAnswer: It raised anything else, or its process ended; see `ask`.
        """
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
        report, fetch = arguments.pop("report", silent), arguments.pop("fetch", _refuse)
        command = [self.python, "-m", PROGRAM, f"{function.__module__}:{function.__qualname__}", *self.about]
        told = self.ask(command, to_data(arguments), report, fetch)
        try:
            answer: T = from_data(get_type_hints(function)["return"], told)
        except ValidationError as error:
            raise NoAnswer(Ending(kind=EndingKind.EXITED, words="gave an answer that is none"), str(error)) from error
        return answer

    def ask(self, command: Sequence[str], request: Any, report: Report = silent, fetch: Fetch = _refuse) -> Any:
        """Runs a command that speaks as `core.base.children` tells, and returns its answer.

        Raises:
            EngineRoomError: What the child told.
            NoAnswer: It could not be started, or ended without a word, by itself or because of a limit.
        """
        request_end, write_end = os.pipe()
        read_end, events_end = os.pipe()
        if self.box:
            keep_bytecode()
        with (
            os.fdopen(write_end, "wb", buffering=0) as requests,
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
            told = self._hear(process, requests.fileno(), request, events, log, report, fetch)
            if "answer" in told:
                return told["answer"]
            if "error" in told:
                raise told["error"].shown().to_error()
            raise NoAnswer(told["ending"], _tail(log))

    def _environment(self, events: int) -> dict[str, str]:
        """Everything that the child sees; unbuffered, so that its last words stand last."""
        own = allowed(os.environ) if self.box else os.environ
        box = {BOX_VARIABLE: json.dumps(to_data(self.box))} if self.box else {}
        whole = {**own, "PYTHONUNBUFFERED": "1", **self.environment, **box, EVENTS_VARIABLE: str(events)}
        return {name: value for name, value in whole.items() if value is not None}

    @property
    def _limits(self) -> Limits:
        if self.box is None:
            return Limits(seconds=self.seconds)
        box = self.box
        return Limits(seconds=self.seconds, folder=box.home, folder_bytes=box.home_bytes, free_bytes=box.free_bytes)

    def _hear(
        self,
        process: Process,
        requests: int,
        request: Any,
        events: IO[bytes],
        log: IO[bytes],
        report: Report,
        fetch: Fetch,
    ) -> dict[str, Any]:
        """The last event of each kind, one of them an answer, an error or an ending. The process is gone afterwards."""
        told: dict[str, Any] = {}
        try:
            with stoppable(process), Watch(self._limits, log, process.kill, process.crowd) as watch:
                _write_line(requests, request)
                try:
                    for kind, value in read_events(events, self.answer_bytes):
                        if kind not in _KINDS:
                            continue
                        try:
                            told[kind] = from_data(_KINDS[kind], value)
                        except ValidationError:
                            continue
                        if kind == "progress":
                            report(told[kind].shown())
                        elif kind == "fetch":
                            _write_line(requests, _answered(fetch, value))
                        elif kind in ("answer", "error"):
                            break  # a process that it left behind may hold the events open
                except OverflowError:
                    process.kill()
                    told["ending"] = Ending.beyond("in one answer", self.answer_bytes)
                code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if watch.ending and watch.ending.kind is EndingKind.OUTPUT:  # whatever it has answered
            return {"ending": watch.ending}
        if watch.ending:
            told.setdefault("ending", watch.ending)
        told.setdefault("ending", process.ending(code))
        return told


def _answered(fetch: Fetch, question: Any) -> dict[str, Any]:
    try:
        return {"answer": fetch(question)}
    except EngineRoomError as error:
        return {"error": to_data(Failure.of(error))}


def _write_line(pipe: int, value: Any) -> None:
    left = memoryview(json.dumps(value).encode() + b"\n")
    with suppress(BrokenPipeError):  # it ended before it read all
        while left:
            left = left[os.write(pipe, left) :]


_KINDS: dict[str, Any] = {"progress": Progress, "fetch": object, "answer": object, "error": Failure}


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
    return log.read().decode(errors="replace")
