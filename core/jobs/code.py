"""Which code a process runs: a worker lives on when the program under it is changed, and is to be told apart then."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import core


@cache
def code_stamp() -> str:
    """Of this program's files as they were when this process first asked; another after an update."""
    root = Path(core.__file__).parent
    seen = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        told = path.stat()
        seen.update(f"{path.relative_to(root)} {told.st_size} {told.st_mtime_ns}\n".encode())
    return seen.hexdigest()[:12]
