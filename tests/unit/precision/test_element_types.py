"""What follows from a precision's one record."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from onnx import TensorProto

from core.base.precision import Precision
from core.base.serialization import from_data, to_data
from core.precision.element_types import ELEMENT_TYPE, GRIDS, round_array, round_up, to_grid


def test_what_is_put_into_a_graph_has_a_type_or_a_grid() -> None:
    assert ELEMENT_TYPE == {Precision.FP16: TensorProto.FLOAT16, Precision.BF16: TensorProto.BFLOAT16}
    told = {precision: (grid.element_type, grid.largest) for precision, grid in GRIDS.items()}
    assert told == {Precision.INT8: (TensorProto.INT8, 127.0), Precision.FP8: (TensorProto.FLOAT8E4M3FN, 448.0)}


@pytest.mark.parametrize("precision", Precision)
def test_a_precision_is_its_name_wherever_it_goes(precision: Precision) -> None:
    assert to_data(precision) == precision == precision.value
    assert from_data(Precision, precision.value) is Precision(precision.value) is copy.deepcopy(precision) is precision


def test_rounding_saturates_and_scales_are_rounded_up() -> None:
    array = np.array([1e-9, 0.1, 1e6], np.float32)
    assert round_array(array, TensorProto.FLOAT16).tolist() == [0.0, float(np.float16(0.1)), 65504.0]
    assert (round_up(array[:2], TensorProto.BFLOAT16).astype(np.float32) >= array[:2]).all()
    assert to_grid(np.array([-1e3, 0.6, 1e3], np.float32), GRIDS[Precision.INT8]).tolist() == [-127, 1, 127]
    assert to_grid(np.array([-1e3, 1e3], np.float32), GRIDS[Precision.FP8]).astype(float).tolist() == [-448.0, 448.0]
