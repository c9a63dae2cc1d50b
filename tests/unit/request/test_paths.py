"""What each path can build."""

import pytest

from core.base.precision import Precision
from core.models.model import Format
from core.request.paths import paths_from, precisions_of


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
