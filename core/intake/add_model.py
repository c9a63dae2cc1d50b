"""Takes a model in: finds it in what was given, stores it under its digest, and tells what it is.

`add_model` does all of it in this process; `core.intake.take_in` has the finding and the reading done in a box.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.base.errors import BrokenModel, EngineRoomError, InvalidRequest, StoreFailed
from core.base.progress import Progress, Report, silent
from core.base.serialization import read_json, write_json
from core.intake.archives import is_archive, unpack
from core.intake.formats import is_format_of_its_own
from core.intake.locate import Located, locate
from core.models.graphdef import read_graphdef
from core.models.keras_model import read_keras
from core.models.model import Format, Model
from core.models.onnx_model import read_onnx_model
from core.models.reading import Reading
from core.models.savedmodel import read_savedmodel
from core.models.tflite import read_tflite
from core.storage.digest import digest_of
from core.storage.workspace import Workspace


def add_model(
    path: Path,
    workspace: Workspace,
    *,
    name: str | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    owned: bool = False,
    report: Report = silent,
) -> Model:
    """Stores a model; one that is there already is left as it is.

    Args:
        path: A model's file or folder, or an archive with the model somewhere in it.
        workspace: Where to store it.
        name: For people; the file's or folder's name when None.
        inputs: For a frozen GraphDef alone: the tensors to feed.
        outputs: For a frozen GraphDef alone: the tensors to fetch.
        owned: The files at the path are ours and never change, such as an upload's: they share their place on the disk with what
            is stored.
        report: Told about progress.

    Raises:
        NotFound: There is no such path.
        InvalidRequest: The path cannot be read or holds several models, or `inputs` and `outputs` do not fit.
        UnsupportedModel: It is of a format that we do not read.
        BrokenModel: It is damaged or incomplete.
        Unavailable: Reading this format needs a package that is not installed.
        StoreFailed: The workspace is full or not writable.
    """
    with workspace.partial_folder("model-") as partial:
        shelf = Shelf(workspace, partial / "stored", report)
        unpacked = partial / "unpacked"

        def keep(files: dict[str, Path], also: Sequence[str]) -> Kept:
            return shelf.keep(files, also, owned=owned or unpacked.is_dir())

        return shelf.settle(read_model(path, unpacked, keep, name=name, inputs=inputs, outputs=outputs, report=report))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A model's files, stored: where they can be read now, and the model when it was known already."""

    digest: str
    content: Path
    known: Model | None


class Shelf:
    """Where a model's files are put while it is taken in.

    Args:
        folder: On the disk of the workspace; not there yet.
    """

    def __init__(self, workspace: Workspace, folder: Path, report: Report) -> None:
        self._workspace, self._folder, self._report = workspace, folder, report
        self._digest = ""
        self._files: dict[str, Path] = {}
        self._also: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether files were stored."""
        return bool(self._digest)

    def keep(self, files: Mapping[str, Path], also: Sequence[str], *, owned: bool) -> Kept:
        """Stores files by their relative names; see `core.storage.digest.digest_of`."""
        content = self._folder / "content"
        content.mkdir(parents=True)
        self._files, self._also = {name: content / name for name in files}, tuple(also)
        self._digest = digest_of(files, store_in=content, owned=owned, also=also, report=self._report)
        known = self._workspace.model_folder(self._digest) / "model.json"
        model = read_json(Model, known) if known.is_file() else None
        return Kept(digest=self._digest, content=content, known=model)

    def confirm(self) -> None:
        """Makes sure that the files still are what their digest says.

        Raises:
            StoreFailed: They are not.
        """
        if digest_of(self._files, also=self._also, report=self._report) != self._digest:
            hint = "It is made to deceive its reader."
            raise StoreFailed("The model's files were changed while it was read; it is not kept.", hint=hint)

    def settle(self, model: Model) -> Model:
        """Puts the model beside its files, and both where they stay; one that is there already is left as it is."""
        final = self._workspace.model_folder(self._digest)
        if not (final / "model.json").is_file():
            if not (self._folder / "content" / model.entry).exists():
                raise BrokenModel(f"{model.name} has no {model.entry!r}, which is to be its main file.", hint="Export it again.")
            if not model.signatures:
                raise BrokenModel(f"{model.name} has no signature that could be run.", hint="Export it with one.")
            write_json(self._folder / "model.json", replace(model, digest=self._digest))
            self._workspace.settle(self._folder, final)
        return read_json(Model, final / "model.json")


def read_model(
    path: Path,
    unpacked: Path,
    keep: Callable[[dict[str, Path], Sequence[str]], Kept],
    *,
    name: str | None,
    inputs: Sequence[str],
    outputs: Sequence[str],
    report: Report,
) -> Model:
    """Finds the model, has its files kept, and reads it; arguments and errors are those of `add_model`.

    Args:
        unpacked: Where an archive's files go; not there yet.
        keep: Stores the files, by their relative names, and further lines for the digest.
    """
    with _damage_told(path):
        located = _located(path, unpacked, report)
        size_bytes = located.size_bytes
        kept = keep(located.files, _choice(located, inputs, outputs))
        if kept.known:
            return kept.known
        report(Progress(message=f"Reading the {located.format.value} model"))
        reading = _read(located.format, kept.content / located.entry, inputs, outputs)
        return _model(located, reading, digest=kept.digest, size_bytes=size_bytes, name=name or name_of(path))


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Parsers raise anything on damaged files; whatever they do, the user gets a sentence."""
    try:
        yield
    except (EngineRoomError, OSError, MemoryError):
        raise
    except Exception as error:
        raise BrokenModel(
            f"{path.name} could not be read: {type(error).__name__}: {error}",
            hint="It is damaged or very unusual: export it again.",
            detail=traceback.format_exc(),
        ) from error


def _located(path: Path, unpacked: Path, report: Report) -> Located:
    """The model in a file, a folder or an archive; `unpacked` is where the archive's files go."""
    if not path.is_file() or path.stat().st_size == 0:
        return locate(path)
    try:
        packed = is_archive(path) and not is_format_of_its_own(path)
    except PermissionError as error:
        raise InvalidRequest(f"{path} cannot be read: permission denied.", hint="Check its rights.") from error
    if not packed:
        return locate(path)
    # Errors name the folder that was looked into: the archive's name says more than a temporary one.
    folder = unpacked / path.name
    folder.mkdir(parents=True)
    unpack(path, folder, report=report)
    return locate(folder)


def _choice(located: Located, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
    """Lines for the digest: the same frozen graph with other tensors named is another model."""
    if located.format is not Format.GRAPHDEF and (inputs or outputs):
        raise InvalidRequest(
            f"Tensor names are for frozen graphs alone; this is a model of format {located.format.value}.",
            hint="Leave them out; signatures say what to feed and fetch.",
        )
    return (*(f"input {name}" for name in inputs), *(f"output {name}" for name in outputs))


def _read(kind: Format, path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Reading:
    if kind is Format.GRAPHDEF:
        return read_graphdef(path, inputs, outputs)
    readers = {
        Format.SAVEDMODEL: read_savedmodel,
        Format.ONNX: read_onnx_model,
        Format.KERAS: read_keras,
        Format.TFLITE: read_tflite,
    }
    return readers[kind](path)


def _model(located: Located, reading: Reading, *, digest: str, size_bytes: int, name: str) -> Model:
    return Model(
        digest=digest,
        name=name,
        format=located.format,
        entry=located.entry,
        signatures=reading.signatures,
        size_bytes=size_bytes,
        producer=reading.producer,
        opset=reading.opset,
        parameters=reading.weights.parameters if reading.weights else None,
        frozen_bytes=reading.weights.size_bytes if reading.weights else None,
        ops=reading.ops,
        notes=reading.notes,
    )


def name_of(path: Path) -> str:
    """What a model is called that has no other name: the file's or folder's; a saved_model.pb is known by its folder."""
    full = path.absolute()
    return full.parent.name if full.name == "saved_model.pb" else Path(os.path.normpath(full)).name
