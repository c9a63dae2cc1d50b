"""What a model could do that it has no business to do, as if it were native code in its process.

Each function of these modules does one deed, and raises where it cannot. `core/base/box` is what is to refuse them: its tests do
them in a box and without one, and `bench.attack box` with every wall taken away in its turn.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from bench.attack.deeds import files, kernel, limits, network, processes

MODULES = (files, processes, network, kernel, limits)


def told(deed: str, target: str) -> str:
    """Does a deed and says how it went: "done", or the error."""
    try:
        _named(deed)(target)
    except (OSError, sqlite3.Error, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def environment() -> dict[str, str]:
    return dict(os.environ)


def _named(deed: str) -> Callable[[str], None]:
    function: Callable[[str], None] = next(getattr(module, deed) for module in MODULES if hasattr(module, deed))
    return function
