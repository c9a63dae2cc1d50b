"""A user's own files are opened by a boxed process for the command line too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.base.box.box import Box
from core.base.box.inputs import what_reading_takes
from core.base.box.limits import memory_bytes, passing_box
from core.base.box.walls import standing
from core.base.children.call import Child, NoAnswer
from core.base.errors import StageCrashed


@contextmanager
def boxed(what: str, *paths: Path | None, beside: Path | None = None) -> Iterator[tuple[Child, Box]]:
    """A child whose box may read these paths, and its box, to whose home it may write.

    Args:
        what: What is done, as the beginning of a sentence: "Checking model.onnx".
        beside: See `core.base.box.limits.passing_box`.

    Raises:
        StageCrashed: The process ended without an answer.
        Unavailable: All walls are required, and not all can stand.
    """
    standing()
    reads = [one for path in paths if path is not None for one in what_reading_takes(path.absolute())]
    try:
        with passing_box("precision", reads, memory_bytes=memory_bytes(), beside=beside) as box:
            yield Child(box=box), box
    except NoAnswer as end:
        hint = "It may need more memory than this machine has, or the file is damaged."
        told = f"{what} ended without an answer: the process {end.ending.words}."
        raise StageCrashed(told, hint=hint, detail=end.log) from end
