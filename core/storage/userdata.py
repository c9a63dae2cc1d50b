"""Input and calibration data that users bring, stored by content."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.base.errors import NotFound
from core.storage.digest import digest_of, is_junk
from core.storage.workspace import Workspace


def store_data(workspace: Workspace, path: Path) -> str:
    """Stores a file (.npz, .npy) or a folder of files and returns its digest; the same data twice are stored once.

    Raises:
        NotFound: There is no such file or folder.
        StoreFailed: The workspace cannot be written.
    """
    files = {path.name: path} if path.is_file() else _files_below(path)
    if not files:
        raise NotFound(f"There are no data at {path}.", hint="Give an .npz keyed by input name (numpy.savez), or a folder.")
    digest = digest_of({f"data{path.suffix}": path} if path.is_file() else files)
    with workspace.partial_folder("data-") as partial:
        if path.is_file():
            shutil.copyfile(path, partial / f"data{path.suffix}")
        else:
            for name, file in files.items():
                (partial / "data" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, partial / "data" / name)
        workspace.settle(partial, workspace.data / digest)
    return digest


def _files_below(folder: Path) -> dict[str, Path]:
    found = ((str(file.relative_to(folder)), file) for file in folder.rglob("*") if file.is_file())
    return {name: file for name, file in found if not is_junk(name)}
