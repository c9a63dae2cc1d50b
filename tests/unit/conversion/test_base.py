"""Which conversions there are."""

from __future__ import annotations

from core.conversion.base import all_conversions
from core.models.model import Format


def test_every_conversion_is_found_by_its_file() -> None:
    found = {conversion.name: (conversion.source, conversion.target) for conversion in all_conversions()}
    assert found == {
        "onnx_from_savedmodel": (Format.SAVEDMODEL, Format.ONNX),
        "onnx_from_graphdef": (Format.GRAPHDEF, Format.ONNX),
        "onnx_from_tflite": (Format.TFLITE, Format.ONNX),
        "savedmodel_from_keras": (Format.KERAS, Format.SAVEDMODEL),
        "tflite_from_savedmodel": (Format.SAVEDMODEL, Format.TFLITE),
    }


def test_each_says_whether_it_works_here() -> None:
    for conversion in all_conversions():
        found = conversion.availability()
        assert found.available or found.hint
        assert bool(found.version) is found.available
