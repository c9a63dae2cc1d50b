"""What a boxed process may read of what the kernel tells: of itself and of its own limits, and nothing of others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Of /proc/self, `net` tells of every connection on the host, and so does `task/<thread>/net`.
_OWN_FILES = (
    *("auxv", "cgroup", "cmdline", "comm", "environ", "io", "limits", "maps", "mountinfo", "mounts", "numa_maps"),
    *("oom_score", "oom_score_adj", "sched", "schedstat", "smaps", "smaps_rollup", "stat", "statm", "status"),
)
_OWN_FOLDERS = ("fd", "fdinfo")
# Beside them a control group's folder tells the numbers of all processes in it.
_GROUP_FILES = {
    *("cpu.max", "cpuset.cpus.effective", "cpuset.mems.effective", "memory.max", "memory.high", "memory.current", "memory.stat"),
    *("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "cpuset.mems", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}
_GROUPS = Path("/sys/fs/cgroup")
_pinned: list[int] = []  # for as long as one of these is open, the kernel does not forget which file it granted


def own_files() -> Iterator[Path]:
    """Files of this process, to be read."""
    own = Path("/proc/self").resolve()
    for name in (*_OWN_FILES, *_OWN_FOLDERS):
        with suppress(OSError):
            _pinned.append(os.open(own / name, os.O_PATH | os.O_CLOEXEC))
            yield own / name


def threads() -> Path:
    """The folder of this process's threads."""
    folder = Path("/proc/self").resolve() / "task"
    with suppress(OSError):
        _pinned.append(os.open(folder, os.O_PATH | os.O_CLOEXEC))
    return folder


def group_files() -> Iterator[Path]:
    """The limits of the control groups that this process is in."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    seen: set[Path] = set()
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        base = _GROUPS / controllers.removeprefix("name=") if controllers else _GROUPS
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder not in seen and folder.is_relative_to(_GROUPS) and ".." not in folder.parts:
                seen.add(folder)
                with suppress(OSError):
                    yield from (folder / name for name in _GROUP_FILES.intersection(os.listdir(folder)))
