"""What counts as a weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.base.dtypes import STRING, bits

_NOT_WEIGHTS = (STRING, "bool", "resource", "variant")
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
