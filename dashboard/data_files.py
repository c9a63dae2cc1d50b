"""Input and calibration data that users upload: checked by a boxed process, and stored by content."""

from __future__ import annotations

import zipfile
from pathlib import Path

from core.base.box.box import GIGABYTE
from core.base.box.limits import passing_box
from core.base.children.call import Child, NoAnswer
from core.base.errors import InvalidRequest
from core.base.progress import Progress, Report
from core.storage.userdata import store_data
from core.storage.workspace import default_workspace

SECONDS = 120.0
MOST_ARRAYS = 10_000
HINT = "Write it with numpy.savez, one array for each input, by the inputs' names."


def take_in_data(path: Path, report: Report) -> str:
    """Stores an uploaded .npz and returns its digest; its list of arrays is read by a process of its own.

    Raises:
        InvalidRequest: It is no .npz, is damaged, or holds nothing or far too much.
        StoreFailed: The workspace cannot be written.
    """
    report(Progress(message="Looking at the data"))
    if not path.is_file():
        raise InvalidRequest(f"{path.name} is a folder and no .npz file.", hint=HINT)
    with passing_box("data", [path.parent], memory_bytes=2 * GIGABYTE) as box:
        try:
            Child(box=box, seconds=SECONDS, answer_bytes=100_000).call(check_arrays, path.absolute())
        except NoAnswer as end:
            raise InvalidRequest(f"{path.name} could not be read: the process {end.ending.words}.", hint=HINT) from end
    report(Progress(message="Storing the data"))
    return store_data(default_workspace(), path)


def check_arrays(path: Path) -> int:
    """How many arrays an .npz holds, by its list alone.

    Raises:
        InvalidRequest: It is no .npz, is damaged, or holds nothing or far too much.
    """
    if not zipfile.is_zipfile(path):
        raise InvalidRequest(f"{path.name} is no .npz file.", hint=HINT)
    try:
        with zipfile.ZipFile(path) as archive:
            held = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InvalidRequest(f"{path.name} is damaged: {error}.", hint=HINT) from error
    if len(held) > MOST_ARRAYS:
        raise InvalidRequest(f"{path.name} holds {len(held):,} arrays, and {MOST_ARRAYS:,} at most are taken.", hint=HINT)
    arrays = [name for name in held if name.endswith(".npy")]
    if not arrays:
        raise InvalidRequest(f"{path.name} holds no arrays.", hint=HINT)
    return len(arrays)
