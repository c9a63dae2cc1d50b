"""How many processes a child has started, from /proc; root has no limit of its own there. Imports the standard library alone."""

from __future__ import annotations

import os
from pathlib import Path

MOST_PROCESSES = 512  # builders start one compiler a core
LOOK_FROM = 256  # that the host has gained since the child began: looking at each of them costs milliseconds


def host_tasks() -> int:
    """Processes and threads that the host has; 0 where it does not tell."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, IndexError, ValueError):
        return 0


def group_size(group: int) -> int:
    """Processes of a process group."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                count += os.getpgid(int(name)) == group
            except OSError:
                continue  # just ended
    return count


class Crowd:
    """Of one process group, since now."""

    def __init__(self, group: int) -> None:
        self._group, self._before = group, host_tasks()

    @property
    def is_too_large(self) -> bool:
        return host_tasks() - self._before > LOOK_FROM and group_size(self._group) > MOST_PROCESSES
