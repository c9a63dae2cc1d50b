"""The device of this machine, as far as precisions ask."""

from __future__ import annotations

import re
from pathlib import Path

from core.base.errors import InvalidRequest
from core.benchmark.machine import compute_capability
from core.precision.target import Device, Target


def this_device(target: Target) -> Device:
    """The first NVIDIA GPU for TensorRT where there is one, else the CPU."""
    capability = compute_capability() if target.needs_gpu else None
    if capability is None:
        return Device(kind="cpu", flags=cpu_flags())
    return Device(kind="cuda", compute_capability=parse_capability(capability))


def cpu_flags() -> frozenset[str]:
    """The processor's instruction sets, as Linux names them; empty elsewhere."""
    try:
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return frozenset()
    return frozenset(found.group(1).split()) if found else frozenset()


def parse_capability(text: str) -> tuple[int, int]:
    """Reads a compute capability such as 8.9.

    Raises:
        InvalidRequest: It is none.
    """
    if not re.fullmatch(r"\d+\.\d", text.strip()):
        raise InvalidRequest(f"Could not read the compute capability {text!r}.", hint="Write 8.9, for example.")
    major, minor = text.strip().split(".")
    return int(major), int(minor)
