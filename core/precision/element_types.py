"""The types that precisions put into a graph: what ONNX and NumPy call them, and how values are rounded to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from core.base.dtypes import integer_bounds, is_float, numpy_dtype, onnx_number
from core.base.precision import Precision

LARGEST_FP16 = 65504.0

# FP16 and BF16: tensors of the graph get the type itself.
ELEMENT_TYPE = {
    precision: onnx_number(precision.facts.dtype) for precision in Precision if precision.in_graph and not precision.quantizes
}
_NUMPY = {element_type: numpy_dtype(precision.facts.dtype) for precision, element_type in ELEMENT_TYPE.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A quantized type: its largest value and how ONNX and NumPy name it."""

    element_type: int
    largest: float
    numpy: np.dtype[np.generic]


def _grid(precision: Precision) -> Grid:
    numpy = numpy_dtype(precision.facts.dtype)
    info: Any = ml_dtypes.finfo
    largest = float(info(numpy).max) if is_float(numpy) else float(integer_bounds(numpy)[1])
    return Grid(element_type=onnx_number(precision.facts.dtype), largest=largest, numpy=numpy)


# INT8 and FP8: values between Q and DQ.
GRIDS = {precision: _grid(precision) for precision in Precision if precision.quantizes}


def round_array(array: NDArray[np.generic], to: int) -> NDArray[np.generic]:
    """Values in the type of `ELEMENT_TYPE`, rounded to nearest even; finite ones beyond FP16's range become its largest."""
    if to == TensorProto.FLOAT16:
        finite = np.isfinite(array)
        array = np.where(finite, np.clip(array, -LARGEST_FP16, LARGEST_FP16), array)
    return array.astype(_NUMPY[to])


def round_up(array: NDArray[np.generic], to: int) -> NDArray[np.generic]:
    """The same, rounded up."""
    rounded = round_array(array, to)
    return np.where(
        rounded.astype(np.float32) < array.astype(np.float32), np.nextafter(rounded, _NUMPY[to].type(np.inf)), rounded
    )


def to_grid(array: NDArray[np.float32], grid: Grid) -> NDArray[np.generic]:
    """Values already divided by their scale, rounded to the grid's nearest; beyond its ends they saturate."""
    nearest = array if is_float(grid.numpy) else np.rint(array)
    return np.clip(nearest, -grid.largest, grid.largest).astype(grid.numpy)
