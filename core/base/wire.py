"""Protobuf's wire format: the fields of a message, read in place and without its schema.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple

# Kinds of fields.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Buffer = mmap.mmap | bytes


class Field(NamedTuple):
    """One field of a message, by its number; its value lies from `value` to `end`, its tag and length before that.

    Attributes:
        start: Of the tag.
    """

    number: int
    kind: int
    start: int
    value: int
    end: int


def fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies from `start` to `end`.

    Raises:
        ValueError: It is no message, or the field that was given last is cut short.
    """
    position = start
    while position < end:
        begin = position
        tag, position = _read_varint(data, position, end)
        number, kind, length = tag >> 3, tag & 7, 0
        value = position
        if kind == BYTES:
            length, value = _read_varint(data, position, end)
        elif kind == VARINT:
            _, after = _read_varint(data, position, end)
            length = after - value
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        if not number or kind not in (VARINT, FIXED64, BYTES, FIXED32):
            raise ValueError("Not a protobuf message.")
        position = value + length
        yield Field(number, kind, begin, value, min(position, end))
        if position > end:
            raise ValueError("The message is cut short.")


def delimited(number: int, value: bytes) -> bytes:
    """A field of kind `BYTES` as it is written."""
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def _read_varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    """The number, and where it ends."""
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
