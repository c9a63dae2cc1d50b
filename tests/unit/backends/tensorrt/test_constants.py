"""Bytes of the constants that a layer reads, in both forms of the inspector's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from core.backends._tensorrt.constants import weight_bytes


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        ({"Weights": {"Type": "Int8", "Count": 9408}, "Bias": {"Type": "Float", "Count": 64}}, 9408 + 256),
        ({"Weights": {"Type": "Half", "Count": 10}, "Bias": {"Type": "Half", "Count": 0}}, 20),
        ({"Constants": [{"Dimensions": [64, 3], "Datatype": "Half"}, {"Dimensions": [1], "Datatype": "Float"}]}, 388),
        ({"Constants": [{"Dimensions": [5], "Datatype": "Int4"}]}, 3),
        ({"Constants": [{"Dimensions": [64, -1], "Datatype": "Half"}]}, None),
        ({"Constants": [{"Dimensions": [64], "Datatype": "Mystery"}, {"Dimensions": [1], "Datatype": "Float"}]}, None),
        ({"Constants": []}, 0),
        ({"LayerType": "Reformat", "Inputs": []}, None),
    ],
)
def test_constants_are_counted_in_bytes_or_not_told(entry: dict[str, Any], size: int | None) -> None:
    assert weight_bytes(entry) == size
