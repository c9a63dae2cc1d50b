"""How many bytes of constants a layer reads, from either form of the inspector's JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from core.base.dtypes import bits, dtype_in


def weight_bytes(entry: Mapping[str, Any]) -> int | None:
    """Of a layer's `Constants`, which have shapes (TensorRT-RTX), or of its `Weights` and `Bias`, which have counts.

    0 where it lists its constants and has none; None where it names none of these, or one whose type or length it does not tell.
    """
    sizes = [*_sizes(entry)]
    told = sizes or isinstance(entry.get("Constants"), list)
    return sum(size for size in sizes if size is not None) if told and None not in sizes else None


def _sizes(entry: Mapping[str, Any]) -> Iterator[int | None]:
    for tensor in entry.get("Constants", ()):
        lengths = tensor.get("Dimensions")
        known = lengths is not None and all(length >= 0 for length in lengths)
        yield _size(math.prod(lengths) if known else None, tensor.get("Datatype"))
    for name in ("Weights", "ConvWeights", "Bias"):
        told = entry.get(name)
        if isinstance(told, Mapping) and told.get("Count"):
            yield _size(int(told["Count"]), told.get("Type"))


def _size(elements: int | None, kind: object) -> int | None:
    width = bits(dtype_in(str(kind)) or "")
    return math.ceil(elements * width / 8) if elements is not None and width else None
