"""Input and calibration data that users upload: checked and stored by content."""

from __future__ import annotations

import zipfile
from pathlib import Path

from core.base.errors import InvalidRequest
from core.base.progress import Progress, Report
from core.storage.userdata import store_data
from core.storage.workspace import default_workspace


def take_in_data(path: Path, report: Report) -> str:
    """Stores an uploaded .npz and returns its digest; only its list of arrays is read here.

    Raises:
        InvalidRequest: It is no .npz, or holds nothing.
    """
    report(Progress(message="Storing the data"))
    hint = "Write it with numpy.savez, one array for each input, by the inputs' names."
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise InvalidRequest(f"{path.name} is no .npz file.", hint=hint)
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = [name for name in archive.namelist() if name.endswith(".npy")]
    except zipfile.BadZipFile as error:
        raise InvalidRequest(f"{path.name} is damaged: {error}.", hint=hint) from error
    if not arrays:
        raise InvalidRequest(f"{path.name} holds no arrays.", hint=hint)
    return store_data(default_workspace(), path)
