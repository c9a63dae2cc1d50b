"""Whether it was the kernel that ended a process, for want of memory."""

from __future__ import annotations

from pathlib import Path


def out_of_memory_kills() -> int:
    """How often the kernel has ended a process for want of memory since the host started; 0 if it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
