"""Takes a model in: finds it in what was given, stores it under its digest, and tells what it is."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.base.errors import BrokenModel, EngineRoomError, InvalidRequest
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
    with workspace.partial_folder("model-") as partial, _damage_told(path):
        located = _located(path, partial / "unpacked", report)
        also = _choice(located, inputs, outputs)
        stored = partial / "stored"
        content = stored / "content"
        content.mkdir(parents=True)
        size_bytes = located.size_bytes
        digest = digest_of(
            located.files, store_in=content, owned=owned or (partial / "unpacked").is_dir(), also=also, report=report
        )
        known = workspace.model_folder(digest) / "model.json"
        if known.is_file():
            return read_json(Model, known)
        report(Progress(message=f"Reading the {located.format.value} model"))
        reading = _read(located.format, content / located.entry, inputs, outputs)
        model = _model(located, reading, digest=digest, size_bytes=size_bytes, name=name or _name(path))
        write_json(stored / "model.json", model)
        return read_json(Model, workspace.settle(stored, workspace.model_folder(digest)) / "model.json")


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


def _name(path: Path) -> str:
    """The file's or folder's name; a saved_model.pb is known by its folder."""
    full = path.absolute()
    return full.parent.name if full.name == "saved_model.pb" else Path(os.path.normpath(full)).name
