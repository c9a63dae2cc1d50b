"""Takes models in by a child process, since reading one may take gigabytes that the web process should never hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from core.base.errors import InvalidRequest, NotFound
from core.base.files import folder_bytes
from core.base.progress import Report, silent
from core.intake import take_in as boxed
from core.storage.workspace import default_workspace
from dashboard.upload_room import room_in

ALLOWED_FOLDER_VARIABLE = "ENGINEROOM_ALLOWED_FOLDER"


def take_in(
    path: Path,
    *,
    name: str = "",
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    owned: bool = False,
    report: Report = silent,
) -> str:
    """Stores the model at a path and returns its digest; arguments and errors are those of `core.intake.take_in`.

    Raises:
        StoreFailed: It does not fit; of an upload that was asked before it came.
    """
    if not owned:
        room_in(default_workspace()).check(folder_bytes(path))
    model = boxed.take_in(
        path,
        default_workspace(),
        name=name or path.name,
        inputs=inputs,
        outputs=outputs,
        owned=owned,
        within=allowed_folder(),
        report=report,
    )
    return model.digest


def allowed_folder() -> Path | None:
    """The folder from which models may be taken by their path; None when that is switched off."""
    folder = os.environ.get(ALLOWED_FOLDER_VARIABLE)
    return Path(folder).resolve() if folder else None


def allowed_path(text: str) -> Path:
    """A path that a user typed, relative to the allowed folder or absolute within it; links are followed first.

    Raises:
        InvalidRequest: It leads out of the allowed folder, or there is no such folder.
        NotFound: Nothing is there.
    """
    folder = allowed_folder()
    if folder is None:
        raise InvalidRequest("Models cannot be added by a path here.", hint=f"Set {ALLOWED_FOLDER_VARIABLE} for the server.")
    try:
        path = (folder / text.strip()).resolve()
        inside, exists = path.is_relative_to(folder), path.exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a loop of links
        inside, exists = True, False
    if not inside:
        raise InvalidRequest(f"{text.strip()!r} is not inside {folder}.", hint="Choose a file or folder in there.")
    if not exists:
        raise NotFound(f"There is no {text.strip()!r} in {folder}.", hint="Check the path.")
    return path
