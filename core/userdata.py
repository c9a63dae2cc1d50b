"""Input and calibration data that users bring, stored by content."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.errors import NotFound
from core.hashing import file_sha256
from core.workspace import Workspace


def store_data(workspace: Workspace, path: Path) -> str:
    """Stores an .npz file and returns its digest; the same file twice is stored once.

    Raises:
        NotFound: There is no such file.
        StoreFailed: The workspace cannot be written.
    """
    if not path.is_file():
        raise NotFound(f"There is no data file {path}.", hint="Give an .npz keyed by input name (numpy.savez).")
    digest = file_sha256(path)
    with workspace.partial_folder("data-") as partial:
        shutil.copyfile(path, partial / "data.npz")
        workspace.settle(partial, workspace.root / "data" / digest)
    return digest
