"""Tells a model file's format from its bytes; a suffix decides only where the bytes leave it open."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.base.errors import BrokenModel
from core.intake import foreign
from core.intake.foreign import Foreign
from core.models.model import Format

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD_BYTES = 65536
# Top-level fields of a protobuf message to look at: enough to reach an ONNX graph behind its metadata.
_FIELDS = 64
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_GRAPHDEF_FIELDS = {(1, _LENGTH), (2, _LENGTH), (3, _VARINT), (4, _LENGTH)}

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
    file.seek(0)
    fields = list(_fields(file))
    kinds = {(number, wire) for number, wire, _ in fields}
    first = {number: payload for number, _, payload in reversed(fields)}
    known: tuple[tuple[bool, Format | Foreign], ...] = (
        ({(1, _VARINT), (7, _LENGTH)} <= kinds and (7, _VARINT) not in kinds, Format.ONNX),
        ((1, _VARINT) in kinds and any(number >= 200 for number, _ in kinds), foreign.COREML),
        (kinds == {(1, _VARINT), (2, _LENGTH)} and first[1] == b"\x01", Format.SAVEDMODEL),
        ({(1, _VARINT), (2, _VARINT)} <= kinds and suffix == ".uff", foreign.UFF),
        ({(1, _VARINT), (2, _VARINT)} <= kinds and bool(kinds & {(4, _LENGTH), (9, _LENGTH)}), foreign.ONNX_TENSOR),
        ((1, _LENGTH) in kinds and kinds <= _GRAPHDEF_FIELDS and _is_node(first[1]), Format.GRAPHDEF),
        ({(1, _LENGTH), (2, _LENGTH)} <= kinds and suffix == ".meta", foreign.CHECKPOINT),
    )
    return next((found for holds, found in known if holds), None)


def _is_node(payload: bytes) -> bool:
    """Whether bytes begin as a NodeDef: a name, then an op."""
    found = [(number, wire) for number, wire, _ in _fields(io.BytesIO(payload))]
    return found[:2] == [(1, _LENGTH), (2, _LENGTH)]


def _fields(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Number, wire type and first bytes of the fields a file begins with; ends where it makes no sense."""
    for _ in range(_FIELDS):
        tag = _varint(file)
        if tag is None or not tag >> 3:
            return
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value = _varint(file)
            if value is None:
                return
            yield number, wire, bytes([value & 0xFF])
        elif wire == _LENGTH:
            length = _varint(file)
            if length is None:
                return
            start = file.tell()
            yield number, wire, file.read(min(length, 1024))
            file.seek(start + length)
        elif wire in (_FIXED64, _FIXED32):
            yield number, wire, file.read(8 if wire == _FIXED64 else 4)
        else:
            return


def _varint(file: BinaryIO) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
