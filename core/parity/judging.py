"""By what one output is judged: what is known of it before it is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.base.dtypes import is_float, numpy_dtype

Doubles = NDArray[np.float64]

# Of a sigmoid, whose values lie between 0 and 1: runtimes make it of a tanh or of a rational function, whose error is some
# units in the last place of 1 wherever the value lies.
UNITS_FP32 = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What the source model tells of one output.

    Attributes:
        logistic: A sigmoid makes it, so it is judged by what went into that too.
        step: Of a quantized output, what one step of its grid is in its own values (1 for integers); None for others.
        unsteady: How far two runs of the source model on the same inputs are from each other, as a relative error; 0 when they
            are alike.
        narrow: The narrowest float type that the source model computes in ("bfloat16"), "" when that is float32.
        noise: Of such a model: how far it is from itself in float32, as a relative error; None when not known.
    """

    logistic: bool = False
    step: float | None = None
    unsteady: float = 0.0
    narrow: str = ""
    noise: float | None = None


PLAIN = Judging()


def smallest_told(dtype: str) -> float:
    """The difference below which values of a float type are not told apart: runtimes flush what is smaller to zero."""
    kind = numpy_dtype(dtype)
    if not is_float(kind) or kind.kind == "c":
        return 0.0
    limits = _limits(kind)
    return limits[0] if limits[0] < 1e-30 else 4 * limits[1]


def unit_of(dtype: str) -> float:
    """The distance of 1 to the next value of a type; of integers a step of its levels."""
    if dtype == "tf32":
        return 2.0**-10
    kind = numpy_dtype(dtype)
    return _limits(kind)[2] if is_float(kind) else 2.0 ** -(8 * kind.itemsize)


def resolution_of(judging: Judging, own: str, computes_in: str) -> float:
    """The absolute difference that is no error whatever the size of the output's values.

    Args:
        own: The output's element type in the source model.
        computes_in: What the engine was asked to compute in.
    """
    smallest = smallest_told(own)
    if not judging.logistic:
        return smallest
    unit = max(unit_of(kind) for kind in (computes_in, judging.narrow or computes_in))
    return max(smallest, UNITS_FP32 * unit if unit < 1e-6 else unit)


def logit(value: Doubles, least: float) -> Doubles:
    """What went into a sigmoid that gave these values; nothing closer to 0 or 1 than `least` is told from them."""
    held = np.clip(value, least, 1.0 - least)
    return np.asarray(np.log(held) - np.log1p(-held), dtype=np.float64)


def _limits(kind: Any) -> tuple[float, float, float]:
    """The smallest normal and subnormal value, and the unit at 1."""
    if kind.kind == "f" and kind.isbuiltin != 2:  # ml_dtypes' float8_e5m2 says that it is of NumPy's kind
        own = np.finfo(kind)
        return float(own.tiny), float(own.smallest_subnormal), float(own.eps)
    import ml_dtypes

    tell: Any = ml_dtypes.finfo
    other = tell(kind)
    return float(other.tiny), float(other.smallest_subnormal), float(other.eps)
