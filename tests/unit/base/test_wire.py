"""The wire format, held against protobuf's own encoder."""

from itertools import islice

import onnx
import pytest

from core.base.wire import BYTES, FIXED32, FIXED64, VARINT, delimited, fields

TENSOR = onnx.TensorProto(dims=[300, 2], data_type=1, name="weights", raw_data=b"x" * 200, doc_string="")


def test_fields_lie_where_protobuf_wrote_them() -> None:
    data = TENSOR.SerializeToString()
    found = list(fields(data, 0, len(data)))
    assert [(field.number, field.kind) for field in found] == [
        (1, VARINT),
        (1, VARINT),
        (2, VARINT),
        (8, BYTES),
        (9, BYTES),
        (12, BYTES),
    ]
    assert [data[field.value : field.end] for field in found[3:]] == [b"weights", b"x" * 200, b""]
    assert [field.start for field in found] == [0, *(field.end for field in found[:-1])]
    assert found[-1].end == len(data)
    assert data[found[4].start : found[4].end] == delimited(9, b"x" * 200)


def test_fixed_widths_are_stepped_over() -> None:
    data = bytes([1 << 3 | FIXED32, 1, 2, 3, 4, 2 << 3 | FIXED64, *range(8)])
    assert [(field.kind, field.end - field.value) for field in fields(data, 0, len(data))] == [(FIXED32, 4), (FIXED64, 8)]


def test_a_field_that_is_cut_short_is_given_and_then_refused() -> None:
    data = TENSOR.SerializeToString()[:40]
    assert next(islice(fields(data, 0, len(data)), 4, None)).end == len(data)
    with pytest.raises(ValueError, match="cut short"):
        list(fields(data, 0, len(data)))


@pytest.mark.parametrize("data", [b"\x0b", b"\x00\x01", b"\xff" * 11, b"\x08", b"\x08\x80"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="Not a protobuf message"):
        list(fields(data, 0, len(data)))
