"""What paths there are, and what each can build."""

import pytest

from core.base.availability import Availability, availability_of, forget_availability
from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.tensors import Signature
from core.models.model import Format, Model
from core.request.paths import parse_path, path_named, paths_from, precisions_of


def model_of(format_: Format) -> Model:
    signature = Signature(name="main", inputs=(), outputs=())
    return Model(digest="ab" * 32, name="net", format=format_, entry="net", signatures=(signature,), size_bytes=1)


@pytest.mark.parametrize("format_", list(Format))
def test_every_path_is_found_by_its_id(format_: Format) -> None:
    for path in paths_from(format_):
        assert parse_path(path.id) == path_named(model_of(format_), path.id) == path


@pytest.mark.parametrize(
    "path_id",
    [
        "",
        "onnx",
        "onnx.nothing",
        "nothing",
        "onnxruntime",
        "savedmodel.onnx.onnxruntime",  # another format's
        "onnx.savedmodel.onnx.onnxruntime",  # nothing leads there
        "onnx.litert",  # it does not take ONNX
        "onnx.onnxruntime.fast",  # no such variant
        "onnx.onnxruntime.",
        "onnx.onnxruntime..",
    ],
)
def test_an_unknown_path_is_answered_with_those_there_are(path_id: str) -> None:
    with pytest.raises(InvalidRequest, match=r"net \(onnx\) has no path") as caught:
        path_named(model_of(Format.ONNX), path_id)
    assert "onnx.openvino" in caught.value.hint


def test_a_detour_is_no_path() -> None:
    with pytest.raises(InvalidRequest, match="has no path"):
        path_named(model_of(Format.SAVEDMODEL), "savedmodel.tflite.onnx.onnxruntime")


def test_availability_is_asked_once_until_it_is_forgotten() -> None:
    class Slow:
        asked = 0

        def availability(self) -> Availability:
            self.asked += 1
            return Availability(available=True)

    slow = Slow()
    assert availability_of(slow) is availability_of(slow)
    assert slow.asked == 1
    forget_availability()
    availability_of(slow)
    assert slow.asked == 2


@pytest.mark.parametrize(
    ("start", "path_id", "int8"),
    [
        (Format.SAVEDMODEL, "savedmodel.openvino", False),
        (Format.SAVEDMODEL, "savedmodel.tflite.openvino", False),
        (Format.SAVEDMODEL, "savedmodel.onnx.openvino", True),
        (Format.SAVEDMODEL, "savedmodel.tf-trt", True),
        (Format.TFLITE, "tflite.openvino", True),
    ],
)
def test_int8_is_offered_where_something_quantizes(start: Format, path_id: str, int8: bool) -> None:
    path = next(path for path in paths_from(start) if path.id == path_id)
    able = precisions_of(path)
    assert (Precision.INT8 in able) is int8
    assert Precision.FP32 in able
