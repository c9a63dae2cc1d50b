"""What a session checks before TensorRT sees an array."""

import numpy as np
import pytest

from core.backends.tensorrt._session import checked_arrays
from core.errors import InvalidRequest
from core.models.model import Signature, TensorSpec

SIGNATURE = Signature(
    name="main",
    inputs=(
        TensorSpec(name="image", dtype="float32", shape=("batch", 8)),
        TensorSpec(name="shift", dtype="float32", shape=("batch", "width")),
    ),
    outputs=(),
)


def test_one_symbol_is_one_length():
    inputs = {"image": np.zeros((2, 8), np.float32), "shift": np.zeros((2, 3), np.float32)}
    assert list(checked_arrays(SIGNATURE, inputs)) == ["image", "shift"]
    with pytest.raises(InvalidRequest, match="batch is 2 in input image and 1 in shift"):
        checked_arrays(SIGNATURE, {**inputs, "shift": np.zeros((1, 3), np.float32)})
