"""What counts as a weight, and how many bytes its elements take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Bits an element takes, for the types whose names do not end in their width.
_BITS = {"bool": 8, "bfloat16": 16, "string": 0}
_NOT_WEIGHTS = ("string", "bool", "resource", "variant")
# Types of shapes, axes, pads and seeds, and the most elements that such a constant has.
_INDEX_TYPES = ("int32", "int64", "uint32", "uint64")
_MOST_INDICES = 16


@dataclass(frozen=True, slots=True)
class WeightTotal:
    """Elements and bytes of a model's weights."""

    parameters: int = 0
    size_bytes: int = 0

    def plus(self, dtype: str, shape: Sequence[int], *, certain: bool = False) -> WeightTotal:
        """With one more tensor, if it is a weight (or is `certain` to be)."""
        if not certain and not is_weight(dtype, shape):
            return self
        count = math.prod(shape)
        return WeightTotal(self.parameters + count, self.size_bytes + (count * bits(dtype) + 7) // 8)


def is_weight(dtype: str, shape: Sequence[int]) -> bool:
    """Whether a constant is a learned tensor: scalars, short lists of indices (shapes, axes, pads) and texts are not."""
    if not shape or dtype in _NOT_WEIGHTS:
        return False
    return dtype not in _INDEX_TYPES or math.prod(shape) > _MOST_INDICES


def bits(dtype: str) -> int:
    """Bits that one element takes, by NumPy's (or ml_dtypes') name of the type."""
    if dtype in _BITS:
        return _BITS[dtype]
    if dtype.startswith(("float8", "float6", "float4")):
        return int(dtype[5])
    digits = dtype.lstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) if digits.isdigit() else 0
