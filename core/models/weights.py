"""What counts as a weight, and how many bytes its elements take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Bits an element takes, for the types whose names do not end in their width.
_BITS = {"bool": 8, "bfloat16": 16, "string": 0}
_NOT_WEIGHTS = ("string", "bool", "resource", "variant")
# The longest integer list taken for a shape, axes, pads or strides.
_LONGEST_SHAPE = 16


@dataclass(frozen=True, slots=True)
class WeightTotal:
    """Elements and bytes of a model's weights."""

    parameters: int = 0
    size_bytes: int = 0

    def plus(self, dtype: str, shape: Sequence[int]) -> WeightTotal:
        """With one more tensor, if it is a weight."""
        if not is_weight(dtype, shape):
            return self
        count = math.prod(shape)
        return WeightTotal(self.parameters + count, self.size_bytes + (count * bits(dtype) + 7) // 8)


def is_weight(dtype: str, shape: Sequence[int]) -> bool:
    """Whether a constant is a learned tensor: scalars, short integer lists (shapes, axes) and texts are not."""
    if not shape or dtype in _NOT_WEIGHTS:
        return False
    return not (dtype.startswith(("int", "uint")) and len(shape) == 1 and shape[0] <= _LONGEST_SHAPE)


def bits(dtype: str) -> int:
    """Bits that one element takes, by NumPy's (or ml_dtypes') name of the type."""
    if dtype in _BITS:
        return _BITS[dtype]
    if dtype.startswith(("float8", "float6", "float4")):
        return int(dtype[5])
    digits = dtype.lstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) if digits.isdigit() else 0
