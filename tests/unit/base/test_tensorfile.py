from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from core.base.tensorfile import read_tensors, write_tensors


@pytest.mark.parametrize(
    "name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e5m2fnuz", "float4_e2m1fn", "int4", "uint4"]
)
def test_types_that_numpy_lacks_survive(tmp_path: Path, name: str) -> None:
    array = np.array([[0, 1, 2], [3, 4, 6]], np.float32).astype(getattr(ml_dtypes, name))
    write_tensors(tmp_path / "t.zip", {"x": array, "plain": np.arange(3)})
    found = read_tensors(tmp_path / "t.zip")
    assert found["x"].dtype == array.dtype
    np.testing.assert_array_equal(found["x"], array)
    np.testing.assert_array_equal(found["plain"], np.arange(3))
