"""Reads an ONNX file's graph past its weights: their bytes are skipped in the file, never read. Field numbers from onnx.proto."""

from __future__ import annotations

import mmap
from pathlib import Path

from core.base.wire import BYTES, Buffer, delimited, fields

_GRAPH = 7  # ModelProto.graph
_INITIALIZER = 5  # GraphProto.initializer
# TensorProto: float_data, int32_data, int64_data, raw_data, double_data, uint64_data
_VALUES = frozenset((4, 5, 7, 9, 10, 11))
# Shapes, axes and scales stay.
_KEPT_BYTES = 4096


def without_large_values(path: Path) -> bytes:
    """The file's bytes without the values of initializers that take more than 4 KiB.

    Raises:
        ValueError: It is no protobuf message, or cut short.
        OSError: It could not be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _without(data, 0, len(data), (_GRAPH, _INITIALIZER))


def _without(data: Buffer, start: int, end: int, inside: tuple[int, ...]) -> bytes:
    """A message without large values; `inside` names the fields that lead to a tensor."""
    kept: list[bytes] = []
    copied = start
    for field in fields(data, start, end):
        if field.kind != BYTES or field.end - field.value <= _KEPT_BYTES:
            continue
        if field.number != inside[0] if inside else field.number not in _VALUES:
            continue
        kept.append(data[copied : field.start])
        copied = field.end
        if inside:
            kept.append(delimited(field.number, _without(data, field.value, field.end, inside[1:])))
    kept.append(data[copied:end])
    return b"".join(kept)
