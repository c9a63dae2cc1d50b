"""Tells a model file's format from its bytes; a suffix decides only where the bytes leave it open."""

from __future__ import annotations

import mmap
import zipfile
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from core.base.errors import BrokenModel
from core.base.wire import BYTES, VARINT, Buffer, Field, fields
from core.intake import foreign
from core.intake.foreign import Foreign
from core.models.model import Format

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD_BYTES = 65536
# Top-level fields of a protobuf message to look at: enough to reach an ONNX graph behind its metadata.
_FIELDS = 64
_NODE_BYTES = 1024  # of a field, enough to tell a node by
_GRAPHDEF_FIELDS = {(1, BYTES), (2, BYTES), (3, VARINT), (4, BYTES)}

# How each format is stored: the name its main file gets, whatever it was called before.
STORED_NAME = {
    Format.ONNX: "model.onnx",
    Format.GRAPHDEF: "model.pb",
    Format.TFLITE: "model.tflite",
    Format.KERAS: "model.keras",
}
# Suffixes of formats that we read, and what a file of that name should be.
SUFFIXES = {
    ".onnx": "ONNX",
    ".pb": "a TensorFlow graph",
    ".tflite": "TensorFlow Lite",
    ".lite": "TensorFlow Lite",
    ".keras": "a Keras archive",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
}


def stored_name(path: Path, kind: Format) -> str:
    """The name that a single-file model gets in the store, so that equal models are equal under any name."""
    if kind is Format.KERAS and not zipfile.is_zipfile(path):
        return "model.h5"
    return STORED_NAME[kind]


def format_of(path: Path) -> Format:
    """The format of a file.

    Raises:
        UnsupportedModel: It is of a format that we do not read; the hint says what to give instead.
        BrokenModel: It is empty, or is not what its suffix says.
    """
    size = path.stat().st_size
    if size == 0:
        raise BrokenModel(f"{path.name} is empty.", hint="Copy or export it again.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        found = _by_magic(path, head) or foreign.foreign_file(path.name, head, tail) or _by_fields(file, path.suffix.lower())
    found = found or foreign.foreign_suffix(path.suffix)
    if isinstance(found, Format):
        return found
    if isinstance(found, Foreign):
        raise found.error(path.name)
    if claimed := SUFFIXES.get(path.suffix.lower()):
        raise BrokenModel(
            f"{path.name} is not {claimed}, although its name says so: it is cut short or damaged.",
            hint="Copy or export it again.",
        )
    raise Foreign(
        "of no format known here", "Give a SavedModel, ONNX, Keras (.keras, .h5), frozen GraphDef (.pb) or .tflite model."
    ).error(path.name)


def _by_magic(path: Path, head: bytes) -> Format | Foreign | None:
    if head.startswith(_HDF5):
        return foreign.KERAS_WEIGHTS if path.name.endswith(".weights.h5") else Format.KERAS
    if head[4:8] == b"TFL3":
        return Format.TFLITE
    if head.startswith(b"PK") and zipfile.is_zipfile(path):
        return _by_zip_names(path)
    return None


def is_format_of_its_own(path: Path) -> bool:
    """Whether an archive is itself a file format (Keras's, PyTorch's), and nothing to unpack."""
    return zipfile.is_zipfile(path) and _by_zip_names(path) is not None


def _by_zip_names(path: Path) -> Format | Foreign | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError):
        return None
    if "config.json" in names and ("metadata.json" in names or "model.weights.h5" in names):
        return Format.KERAS
    return foreign.foreign_zip(names)


def _by_fields(file: BinaryIO, suffix: str) -> Format | Foreign | None:
    """Which protobuf message a file holds, by the numbers and types of its first fields.

    Field numbers: onnx.proto (ModelProto, TensorProto), tensorflow/core (SavedModel, GraphDef, MetaGraphDef), UFF's and
    Core ML's public schemas.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = _first_fields(data, _FIELDS)
        first = next((data[field.value : min(field.end, field.value + _NODE_BYTES)] for field in found if field.number == 1), b"")
    kinds = {(field.number, field.kind) for field in found}
    known: tuple[tuple[bool, Format | Foreign], ...] = (
        ({(1, VARINT), (7, BYTES)} <= kinds and (7, VARINT) not in kinds, Format.ONNX),
        ((1, VARINT) in kinds and any(number >= 200 for number, _ in kinds), foreign.COREML),
        (kinds == {(1, VARINT), (2, BYTES)} and first == b"\x01", Format.SAVEDMODEL),
        ({(1, VARINT), (2, VARINT)} <= kinds and suffix == ".uff", foreign.UFF),
        ({(1, VARINT), (2, VARINT)} <= kinds and bool(kinds & {(4, BYTES), (9, BYTES)}), foreign.ONNX_TENSOR),
        ((1, BYTES) in kinds and kinds <= _GRAPHDEF_FIELDS and _is_node(first), Format.GRAPHDEF),
        ({(1, BYTES), (2, BYTES)} <= kinds and suffix == ".meta", foreign.CHECKPOINT),
    )
    return next((format for holds, format in known if holds), None)


def _is_node(payload: bytes) -> bool:
    """Whether bytes begin as a NodeDef: a name, then an op."""
    return [(field.number, field.kind) for field in _first_fields(payload, 2)] == [(1, BYTES), (2, BYTES)]


def _first_fields(data: Buffer, count: int) -> list[Field]:
    """The fields that bytes begin with, up to where they make no sense."""
    found: list[Field] = []
    with suppress(ValueError):
        found.extend(islice(fields(data, 0, len(data)), count))
    return found
