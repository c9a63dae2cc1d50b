"""Starts one stage in a process of its own and listens to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Protocol

from core.base.errors import Cancelled, Failure, StageCrashed
from core.base.progress import Progress, Report
from core.base.serialization import from_data
from core.stages.__main__ import EVENTS_VARIABLE
from core.storage.builds import StageName

LOG_FILE = "log.txt"
LOG_TAIL_BYTES = 8_000

# Kinds of ending, as the guard of a queued job tells them, that are no failure of the stage.
CANCELLED = "cancelled"
INTERRUPTED = ("lease", "orphaned")

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "TF_ENABLE_ONEDNN_OPTS": "1", "PYTHONUNBUFFERED": "1"}


class Interrupted(BaseException):
    """The stage ended for a reason outside of the build; nothing of it may be recorded, and it must run again."""


class Child(Protocol):
    """A started stage; `subprocess.Popen` is one."""

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def kill(self) -> None: ...


class Start(Protocol):
    """Starts a stage's command; the guard of a queued job is started by another one."""

    def __call__(self, command: list[str], *, environment: dict[str, str], log: IO[bytes], events: int) -> Child: ...


def start_child(command: list[str], *, environment: dict[str, str], log: IO[bytes], events: int) -> Child:
    """Starts it with nothing around it."""
    return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, pass_fds=(events,))


def run_stage(
    stage: StageName,
    folder: Path,
    report: Report,
    *,
    python: str = sys.executable,
    environment: Mapping[str, str] = MappingProxyType({}),
    start: Start = start_child,
) -> None:
    """Runs a stage to its end; its result is then in `folder`, its output in the folder's log.

    Args:
        python: The interpreter, of another toolchain perhaps.
        environment: Variables on top of this process's own.

    Raises:
        EngineRoomError: What the stage itself reported.
        Cancelled: The guard was told so.
        StageCrashed: Its process ended without a word.
        Interrupted: The guard ended it because this process was cut off.
    """
    read_end, write_end = os.pipe()
    variables = {**os.environ, **QUIET, **environment, EVENTS_VARIABLE: str(write_end)}
    command = [python, "-m", "core.stages", stage.value, str(folder)]
    told: dict[str, Any] = {}
    with (folder / LOG_FILE).open("ab") as log, os.fdopen(read_end, encoding="utf-8", errors="replace") as events:
        try:
            child = start(command, environment=variables, log=log, events=write_end)
        finally:
            os.close(write_end)
        try:
            for event in _read_events(events):
                told.update(event)
                if "progress" in event:
                    report(from_data(Progress, event["progress"]))
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if "error" in told:
        raise from_data(Failure, told["error"]).to_error()
    if "done" in told:
        return
    ending = told.get("ending") or {"kind": "", "words": _ending(code)}
    if ending["kind"] == CANCELLED:
        raise Cancelled(f"Stage {stage.value} was cancelled.")
    if ending["kind"] in INTERRUPTED:
        raise Interrupted(f"Stage {stage.value} {ending['words']}.")
    raise StageCrashed(f"Stage {stage.value} {ending['words']}.", hint="The log's end may tell why.", detail=log_tail(folder))


def _read_events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events; a line that a dying process left torn is none."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code} and no answer"
    return f"was ended by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")


def log_tail(folder: Path) -> str:
    """The end of the build's log."""
    path = folder / LOG_FILE
    return path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if path.exists() else ""
