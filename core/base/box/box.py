"""What a box is: what a process may read, where it may write, and how much it may use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GIGABYTE = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What a boxed process is given besides its interpreter and the system's libraries.

    Attributes:
        home: The one folder that it may write to; its working folder, its HOME and its temporary files are there.
        reads: Files and folders that it may read.
        gpu: Whether it needs the GPU's devices.
        memory_bytes: Of private memory that it may allocate; None for what the host has.
        file_bytes: Size of the largest file that it may write; None for no limit but its folder's.
        home_bytes: Of all files in `home` together; who started it looks, and ends it beyond that. None for no limit.
        free_bytes: That must be left on the disk of `home`; looked at where `home_bytes` is given.
    """

    home: Path
    reads: tuple[Path, ...] = ()
    gpu: bool = False
    memory_bytes: int | None = None
    file_bytes: int | None = None
    home_bytes: int | None = None
    free_bytes: int | None = None
