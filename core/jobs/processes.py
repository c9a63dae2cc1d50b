"""Process trees and their memory, read from /proc with the standard library alone: the guard imports nothing else."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GUARD_VARIABLE = "ENGINEROOM_GUARD"
_IDENTITY = re.compile(r"[0-9]{1,10}\.[0-9]{1,20}", re.ASCII)


def children(pid: int) -> list[int]:
    """Direct children of a process, zombies included."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            found += [int(text) for text in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
        except FileNotFoundError:
            if thread == str(pid) and os.path.exists(f"/proc/{pid}"):
                return _children_by_scan(pid)  # a kernel without that file
        except OSError:
            continue
    return found


def _children_by_scan(pid: int) -> list[int]:
    import psutil

    return [process.pid for process in psutil.process_iter() if process.ppid() == pid]


def descendants(pid: int) -> list[int]:
    """Every process below `pid`; a detached one too, as long as `pid` or one of these is its subreaper."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children(queue.pop())
        found += below
        queue += below
    return found


def resident_bytes(pids: list[int]) -> int:
    """Resident memory of these processes; pages they share count once for each."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
        except (OSError, IndexError, ValueError):
            continue  # just ended
    return total


def reap() -> dict[int, int]:
    """Collects every ended child of this process; its wait status by its id."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def end(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def start_ticks(pid: int) -> str | None:
    """When a process started, in the kernel's ticks: with the id it names a process for good. None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


def identity(pid: int) -> str:
    return f"{pid}.{start_ticks(pid)}"


def end_orphans() -> int:
    """Ends processes of builds whose guard is gone: those that a guard and its worker, killed together, left behind."""
    orphans = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue  # ended, or somebody else's
        marker = f"{GUARD_VARIABLE}=".encode()
        value = next((entry for entry in environment.split(b"\0") if entry.startswith(marker)), None)
        if value is None:
            continue
        guard = value[len(marker) :].decode(errors="replace")
        if _IDENTITY.fullmatch(guard) and guard != identity(int(guard.partition(".")[0])):
            orphans.append(int(name))  # anything else was set by somebody for reasons of their own
    end(orphans)
    return len(orphans)


def boot_seconds() -> float:
    """A clock that goes on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
