"""What a box has to be given to read somebody's model or data by its path."""

from __future__ import annotations

import os
from pathlib import Path

MOST_LINKS = 50_000


def what_reading_takes(path: Path, within: Path | None = None) -> list[Path]:
    """The folder, or the folder of a file (external data lie there), and where links lead.

    Args:
        within: Links in a folder are followed to what lies in there, and no further; None follows them wherever they lead.
    """
    real = path.resolve()
    if not real.is_dir():
        return [*dict.fromkeys((path.parent, real.parent))]
    found = {real: None, path: None}
    for parent, folders, files in os.walk(real):
        for name in (*folders, *files):
            one = Path(parent, name)
            if one.is_symlink() and len(found) < MOST_LINKS:
                target = one.resolve()
                if within is None or target.is_relative_to(within):
                    found[target] = None
    return list(found)
