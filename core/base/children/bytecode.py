"""This package's compiled code, kept before a child needs it: in a box it may write nothing, and would compile it each time."""

from __future__ import annotations

import compileall
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]


@cache
def keep_bytecode() -> None:
    """Compiles what has changed, once a process; where it may not be written, children go on without."""
    if not sys.dont_write_bytecode:
        compileall.compile_dir(PACKAGE, quiet=2)
