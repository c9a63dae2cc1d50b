"""What a child process tells: lines of JSON on the file descriptor that ENGINEROOM_EVENTS names.

    {"progress": {"message", "fraction"}}                  many times
    {"fetch": ...}                                         a question; {"answer": ...} or {"error": a Failure} comes back as a
                                                           line on its standard input
    {"answer": ...} or {"error": a Failure}                once, at the end

With the standard library alone, for the guard imports nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any

EVENTS_VARIABLE = "ENGINEROOM_EVENTS"
BOX_VARIABLE = "ENGINEROOM_BOX"  # a Box, as JSON: the child closes it around itself
MOST_BYTES = 128 * 1024 * 1024  # of one event: graphs of 100,000 nodes take half of it
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_EXPLAINED = {"SIGSEGV": "a fault in native code", "SIGABRT": "native code gave up", "SIGILL": "an instruction this CPU lacks"}


class EndingKind(str, Enum):
    EXITED = "exited"
    SIGNALLED = "signalled"
    CANCELLED = "cancelled"
    TIME = "time"
    MEMORY = "memory"
    LEASE = "lease"
    OUTPUT = "output"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended; the words go on a sentence that begins with what it was."""

    kind: EndingKind
    words: str

    @classmethod
    def of(cls, exit_code: int, *, for_memory: bool = False) -> Ending:
        """From what `Popen.wait` returns: a signal's number below zero.

        Args:
            for_memory: The kernel has ended processes for want of memory meanwhile.
        """
        if exit_code == -signal.SIGKILL and for_memory:
            words = "was ended by the kernel because the host ran out of memory (SIGKILL)"
            return cls(kind=EndingKind.SIGNALLED, words=words)
        if exit_code >= 0:
            return cls(kind=EndingKind.EXITED, words=f"ended with exit code {exit_code} and no answer")
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        why = f": {_EXPLAINED[name]}" if name in _EXPLAINED else ""
        return cls(kind=EndingKind.SIGNALLED, words=f"was ended by {name}{why}")

    @classmethod
    def beyond(cls, what: str, most_bytes: int) -> Ending:
        """Of a process that wrote too much: `what` is "to its log", or "in files"."""
        words = f"was ended when it had written more than {most_bytes / 1e6:,.0f} MB {what}, its limit"
        return cls(kind=EndingKind.OUTPUT, words=words)

    @classmethod
    def beyond_files(cls, most: int) -> Ending:
        return cls(kind=EndingKind.OUTPUT, words=f"was ended when it had made more than {most:,} files, its limit")

    @classmethod
    def beyond_processes(cls, most: int) -> Ending:
        return cls(kind=EndingKind.OUTPUT, words=f"was ended when it had started more than {most:,} processes, its limit")

    @classmethod
    def at_time_limit(cls, seconds: float) -> Ending:
        return cls(kind=EndingKind.TIME, words=f"was ended after {seconds:g} s, its time limit")


def event_line(kind: str, value: Any) -> bytes:
    return json.dumps({kind: value}).encode() + b"\n"


def read_events(stream: IO[bytes], most_bytes: int = MOST_BYTES) -> Iterator[tuple[str, Any]]:
    """The kind and the value of each event; a line that a dying process left torn is none.

    Args:
        most_bytes: Of one event; it is parsed in the caller's process.

    Raises:
        OverflowError: One has no end.
    """
    while line := stream.readline(most_bytes):
        if len(line) == most_bytes:
            raise OverflowError
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield from event.items()


def die_with_parent() -> None:
    """Has the kernel kill this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def take_events() -> int:
    """The descriptor to write events to, kept from the processes that this one starts."""
    events = int(os.environ.pop(EVENTS_VARIABLE))
    os.set_inheritable(events, False)
    return events
