"""Placements are refused before anything is queued where the path's graphs do not take them."""

from __future__ import annotations

from typing import Any

import pytest

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.precision.settings import Placement, PrecisionSettings
from core.request.build_request import BuildRequest, checked
from tests.unit.request.test_commands import MODEL

LOWERING = PrecisionSettings(placement=(Placement.HEAVY_ONLY,))


def asked(path: str, precision: Precision = Precision.INT8, **changes: Any) -> BuildRequest:
    request = BuildRequest(model=MODEL.digest, path=path, precision=precision, lowering=LOWERING, **changes)
    return checked(request, MODEL, here=False)


@pytest.mark.parametrize("path", ["onnx.tensorrt_rtx", "onnx.tensorrt"])
def test_the_newest_tensorrt_takes_them(path: str) -> None:
    assert asked(path).lowering == LOWERING


def test_a_runtime_of_other_rules_refuses_them_and_says_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match=r"placement=heavy_only is for TensorRT 10.*for onnxruntime") as refusal:
        asked("onnx.onnxruntime")
    assert "Leave placement out" in refusal.value.hint


def test_precisions_that_need_none_ignore_them() -> None:
    assert asked("onnx.onnxruntime", Precision.FP16).lowering == LOWERING
