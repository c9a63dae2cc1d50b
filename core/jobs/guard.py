"""The guard: starts one stage, watches its whole process tree, and says how it ended.

`python -m core.jobs.guard LIMITS COMMAND...` where LIMITS is JSON, see `Limits`. It ends every process of the stage, detached
grandchildren too, when

- the control pipe says `cancel`, or closes because the worker died;
- the lease runs out because the worker froze or lost the database;
- the time limit or the memory limit is passed;
- the stage's own process ends.

Only then it ends itself, so whatever it holds (the device's lock) is free only when the last process is gone. If something
kills the guard, the kernel kills the stage's process with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.base.children.crowd import MOST_PROCESSES
from core.base.children.events import Ending, EndingKind, die_with_parent
from core.base.children.kills import out_of_memory_kills
from core.jobs.processes import GUARD_VARIABLE, boot_seconds, descendants, end, identity, reap, resident_bytes

POLL_SECONDS = 0.1
STUBBORN_SECONDS = 30.0  # a process in an uninterruptible system call outlives SIGKILL for a while

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True)
class Limits:
    """What the guard is told.

    Attributes:
        control: File descriptor on which the worker writes `lease <boot seconds>` and `cancel`, a line each.
        ending: File descriptor on which the guard tells how the stage ended; the stage does not have it.
        lease_seconds: The stage is ended so long after the time that the last `lease` line names.
        memory_bytes: Resident memory of all processes together.
    """

    control: int
    ending: int
    lease_seconds: float
    time_seconds: float
    memory_bytes: int


def become_subreaper() -> None:
    """Detached descendants become children of this process, not of init."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main(limits: Limits, command: list[str]) -> int:
    become_subreaper()
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the worker ends a stage through the control pipe, whatever a terminal sends
    for own in (limits.control, limits.ending):
        os.set_inheritable(own, False)
    os.set_blocking(limits.control, False)
    kernel_kills = out_of_memory_kills()
    child = _start(command)
    watched = _watch(limits, child, wake_read)
    left = _end_tree(child)
    if isinstance(watched, Ending):
        ending = watched
    else:
        ending = _judge(watched, kernel_kills)
        if left:
            _say(f"{left} processes that the stage left behind were ended.")
    if ending.kind is not EndingKind.EXITED:
        _say(f"The stage {ending.words}.")
    with suppress(BrokenPipeError):  # the worker is gone
        os.write(limits.ending, json.dumps({"kind": ending.kind.value, "words": ending.words}).encode())
    return 0


def _say(text: str) -> None:
    with suppress(OSError):  # the log's disk is full: what comes of the stage is told all the same
        print(text, file=sys.stderr, flush=True)


def _start(command: list[str]) -> int:
    guard = os.getpid()
    os.environ[GUARD_VARIABLE] = identity(guard)
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        die_with_parent()
        if os.getppid() != guard:
            os._exit(1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        Path("/proc/self/oom_score_adj").write_text("1000")  # the kernel takes a build first, never the worker
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        print(f"Could not start {command[0]}: {error.strerror}.", file=sys.stderr, flush=True)
    os._exit(127)


def _watch(limits: Limits, child: int, wake: int) -> Ending | int:
    """Waits until the stage ends by itself, and returns its wait status, or until something is to end it."""
    started = time.monotonic()
    leased_at = boot_seconds()
    control = b""
    poller = select.poll()
    poller.register(limits.control, select.POLLIN)
    poller.register(wake, select.POLLIN)
    while True:
        ended = reap()
        if child in ended:
            return ended[child]
        ready = dict(poller.poll(POLL_SECONDS * 1000))
        if wake in ready:
            os.read(wake, 4096)
        if limits.control in ready:
            received = os.read(limits.control, 65536)
            if not received:
                return Ending(kind=EndingKind.ORPHANED, words="was ended because its worker died")
            *lines, control = (control + received).split(b"\n")
            for line in lines:
                if line == b"cancel":
                    return Ending(kind=EndingKind.CANCELLED, words="was cancelled")
                leased_at = float(line.removeprefix(b"lease "))
        if boot_seconds() - leased_at > limits.lease_seconds:
            words = f"was ended because its worker gave no sign of life for {limits.lease_seconds:g} s"
            return Ending(kind=EndingKind.LEASE, words=words)
        if time.monotonic() - started > limits.time_seconds:
            return Ending.at_time_limit(limits.time_seconds)
        if beyond := _beyond(descendants(os.getpid()), limits):
            return beyond


def _beyond(below: list[int], limits: Limits) -> Ending | None:
    """What the stage's processes take too much of."""
    if len(below) > MOST_PROCESSES:
        return Ending.beyond_processes(MOST_PROCESSES)
    if (used := resident_bytes(below)) > limits.memory_bytes:
        words = f"was ended when it used {used / 1e9:.2f} GB of memory, more than its limit of {limits.memory_bytes / 1e9:.2f} GB"
        return Ending(kind=EndingKind.MEMORY, words=words)
    return None


def _end_tree(child: int) -> int:
    """Ends all that is left; how many there were besides the stage's own process."""
    seen: set[int] = set()
    deadline = time.monotonic() + STUBBORN_SECONDS
    while time.monotonic() < deadline:
        reap()
        if not (left := descendants(os.getpid())):
            break
        seen.update(left)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # all at once: one by one, they start others meanwhile
        end(left)
        time.sleep(0.005)
    return len(seen - {child})


def _judge(status: int, kernel_kills: int) -> Ending:
    """The ending in words, from a wait status."""
    return Ending.of(os.waitstatus_to_exitcode(status), for_memory=out_of_memory_kills() > kernel_kills)


if __name__ == "__main__":
    told: dict[str, Any] = json.loads(sys.argv[1])
    sys.exit(main(Limits(**told), sys.argv[2:]))
