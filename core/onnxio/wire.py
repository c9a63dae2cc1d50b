"""Reads an ONNX file's graph past its weights: their bytes are skipped in the file, never read.

Protobuf's wire format: https://protobuf.dev/programming-guides/encoding/; field numbers from onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH = 7  # ModelProto.graph
_INITIALIZER = 5  # GraphProto.initializer
# TensorProto: float_data, int32_data, int64_data, raw_data, double_data, uint64_data
_VALUES = frozenset((4, 5, 7, 9, 10, 11))
# Shapes, axes and scales stay.
_KEPT_BYTES = 4096

Buffer = mmap.mmap | bytes


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
    for field, begin, value, after in _fields(data, start, end):
        if after - value <= _KEPT_BYTES or (field != inside[0] if inside else field not in _VALUES):
            continue
        kept.append(data[copied:begin])
        copied = after
        if inside:
            shorter = _without(data, value, after, inside[1:])
            kept.append(_varint(field << 3 | _BYTES) + _varint(len(shorter)) + shorter)
    kept.append(data[copied:end])
    return b"".join(kept)


def _fields(data: Buffer, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, start, start of the value and end of every length-delimited field; the others are stepped over."""
    while position < end:
        begin = position
        key, position = _read_varint(data, position, end)
        kind, length = key & 7, 0
        if kind == _BYTES:
            length, position = _read_varint(data, position, end)
        elif kind == _VARINT:
            _, position = _read_varint(data, position, end)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("Not a protobuf message.")
        value, position = position, position + length
        if position > end:
            raise ValueError("The message is cut short.")
        if kind == _BYTES:
            yield key >> 3, begin, value, position


def _read_varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    result = shift = 0
    while position < end and shift < 64:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
    raise ValueError("Not a protobuf message.")


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
