"""Takes a model in by a boxed process: finding and reading it happen there, its files are stored and hashed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.base.box.inputs import what_reading_takes
from core.base.box.limits import disk_bytes, limited_box, memory_bytes
from core.base.box.plain import is_own_folder, make_plain
from core.base.box.walls import standing
from core.base.children.call import Child, Fetch, NoAnswer
from core.base.children.events import EndingKind
from core.base.errors import InvalidRequest, StageCrashed
from core.base.progress import Report, silent
from core.base.serialization import from_data, to_data
from core.intake.add_model import Kept, Shelf, name_of, read_model
from core.models.model import Model
from core.storage.workspace import Workspace

LEAST_SECONDS, SECONDS_A_MEGABYTE = 120.0, 0.5
ODD = "It is made to deceive its reader, or very unusual: export it again."
ANSWER_BYTES = 32_000_000  # it is parsed in the server; a model of 200,000 files is told in less


def take_in(
    path: Path,
    workspace: Workspace,
    *,
    name: str | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    owned: bool = False,
    within: Path | None = None,
    report: Report = silent,
) -> Model:
    """Stores a model; arguments and errors are those of `core.intake.add_model.add_model`.

    Args:
        within: Links in a folder are followed to what lies in there, and no further; None follows them wherever they lead.

    Raises:
        StageCrashed: The process ended without an answer, or took too long or too much.
        Unavailable: All walls are required, and not all can stand.
    """
    standing()
    path = path.absolute()
    with workspace.partial_folder("intake-") as partial:
        home, shelf = partial / "home", Shelf(workspace, partial / "shelf" / "stored", report)
        home.mkdir()
        (partial / "shelf").mkdir()
        reads = what_reading_takes(path, within)
        files = _Files(home / "unpacked", partial / "unpacked", reads, disk_bytes(home))

        def keep(question: Any) -> Any:
            if shelf.kept:
                raise InvalidRequest(f"Reading {name or path.name} asked for a second model.", hint=ODD)
            told, also = files.checked(question)
            return to_data(shelf.keep(told, also, owned=owned or files.unpacked))

        box = limited_box(home, (*reads, partial / "shelf"), memory_bytes=memory_bytes() // 2)
        seconds = LEAST_SECONDS + SECONDS_A_MEGABYTE * _megabytes(path)
        child = Child(box=box, seconds=seconds, answer_bytes=ANSWER_BYTES)
        try:
            model = child.call(read_boxed, path, home / "unpacked", name, list(inputs), list(outputs), report, keep)
        except NoAnswer as end:
            raise _crashed(name or path.name, end) from end
        if not shelf.kept:
            raise StageCrashed(f"Reading {name or path.name} told of a model that it had not found.", hint=ODD)
        if files.unpacked:  # by a process that could have changed them since: it is gone now
            shelf.confirm()
        return shelf.settle(replace(model, name=name or name_of(path)))


def read_boxed(
    path: Path, unpacked: Path, name: str | None, inputs: list[str], outputs: list[str], report: Report, fetch: Fetch
) -> Model:
    """What happens in the box."""

    def keep(files: dict[str, Path], also: Sequence[str]) -> Kept:
        return from_data(Kept, fetch({"files": to_data(files), "also": list(also)}))

    return read_model(path, unpacked, keep, name=name, inputs=inputs, outputs=outputs, report=report)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What the process asks: to store these files, by their relative names, and lines for the digest."""

    files: dict[str, str]
    also: list[str]


class _Files:
    """What the process found, made sure of: it is no more than it may read, or what it unpacked.

    Args:
        unpacked: Where it unpacks; `taken` is where that is put, out of its reach, before anything is read.
        most_bytes: That it may have unpacked to.
    """

    def __init__(self, unpacked: Path, taken: Path, reads: Sequence[Path], most_bytes: int) -> None:
        self._unpacked, self._taken, self._reads = unpacked.absolute(), taken.absolute(), reads
        self._most_bytes = most_bytes
        self.unpacked = False

    def checked(self, question: Any) -> tuple[dict[str, Path], list[str]]:
        """The files by their relative names, and the further lines for the digest; `unpacked` then says whether they were.

        Raises:
            InvalidRequest: One lies elsewhere, or the question is none.
            StoreFailed: Among what was unpacked is a link or a device, or there is too much of it.
        """
        try:
            asked = from_data(_Question, question)
        except (ValueError, RecursionError):
            raise InvalidRequest("The process that read the model asked for what is none.", hint=ODD) from None
        self.unpacked = is_own_folder(self._unpacked, self._unpacked.parent)
        if self.unpacked:
            self._unpacked.rename(self._taken)
            make_plain(self._taken, most_bytes=self._most_bytes)
        return {name: self._found(name, Path(path)) for name, path in asked.files.items()}, asked.also

    def _found(self, name: str, path: Path) -> Path:
        parts = Path(name).parts
        if path.is_relative_to(self._unpacked) and ".." not in path.parts:
            found = self._taken / path.relative_to(self._unpacked)
            roots: Sequence[Path] = (self._taken,)
        else:
            found, roots = path.resolve(), self._reads
        inside = any(found.is_relative_to(root) for root in roots)
        if not parts or ".." in parts or Path(name).is_absolute() or not inside or not found.is_file():
            raise InvalidRequest(f"{name!r} is no file of this model.", hint="Give a folder that holds the whole model.")
        return found


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else (file for file in path.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files) / 1e6


def _crashed(name: str, end: NoAnswer) -> StageCrashed:
    if end.ending.kind in (EndingKind.TIME, EndingKind.OUTPUT):
        return StageCrashed(
            f"Reading {name} {end.ending.words}.",
            hint="It is damaged or made to hold readers up: export it again.",
            detail=end.log,
        )
    hint = "It may need more memory than this machine has, or be damaged."
    return StageCrashed(f"Reading {name} ended without an answer: it {end.ending.words}.", hint=hint, detail=end.log)
