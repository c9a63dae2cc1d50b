from __future__ import annotations

import pytest

from core.base.errors import InvalidRequest
from core.base.serialization import from_data, to_data
from core.precision.record import PrecisionRecord
from core.precision.settings import ImageOptions, PrecisionEngine, PrecisionSettings, parse_settings, settings_as_texts

SETTINGS = PrecisionSettings(
    engine=PrecisionEngine.MODELOPT,
    keep_ops=("Softmax", "Gelu"),
    keep_io_types=False,
    percentile=99.999,
    samples=100,
    images=ImageOptions(size=(224, 320), layout="nchw", mean=(0.5, 0.4, 0.3)),
    max_rel=0.01,
    target="tensorrt-8.6",
)


def test_texts_say_only_what_differs() -> None:
    assert settings_as_texts(PrecisionSettings()) == []
    assert "keep_ops=Softmax,Gelu" in settings_as_texts(SETTINGS)


def test_texts_are_read_back() -> None:
    assert parse_settings(settings_as_texts(SETTINGS)) == SETTINGS


@pytest.mark.parametrize(
    "text", ["speed=1", "percentile", "percentile=high", "engine=magic", "method=least", "images.size=1,2,3", "images=1"]
)
def test_what_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(InvalidRequest) as told:
        parse_settings([text])
    assert told.value.hint


def test_violations_of_an_older_release_are_read() -> None:
    told = {"target": "tensorrt-8.6", "engine": "light", "violations": ["Conv_1 has a quantized bias."]}
    (violation,) = from_data(PrecisionRecord, told).violations
    assert (violation.message, violation.rule) == ("Conv_1 has a quantized bias.", None)
    assert from_data(PrecisionRecord, to_data(from_data(PrecisionRecord, told))) == from_data(PrecisionRecord, told)
