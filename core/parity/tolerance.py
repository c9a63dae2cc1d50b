"""How far off an engine may be, by what it computes in.

A sum of n rounded terms is off by about sqrt(n) units of rounding (Higham and Mary, A New Approach to Probabilistic Rounding
Error Analysis, 2019), and a network's longest chain of roundings that do not cancel is some hundreds long. So each tolerance of
a narrow type is 20 units, rounded up: sqrt(400). The narrowest cannot hold even that and get what still tells a working network
from a broken one; there, cosine, top-1 agreement and accuracy on labelled data are the better judges.
"""

from __future__ import annotations

from core.base.precision import Precision

# Relative error: the largest absolute difference over the reference's largest magnitude.
TOLERANCES: dict[Precision, float] = {
    Precision.FP32: 1e-3,  # 20 units are 1e-6; other orders of summation and Winograd convolutions need far more than that
    Precision.TF32: 1e-2,  # unit 2^-11
    Precision.FP16: 1e-2,  # unit 2^-11
    Precision.BF16: 1e-1,  # unit 2^-8
    Precision.INT8: 1e-1,  # half a step of 127 levels is 2^-8 of a tensor's range
    Precision.FP8: 2.5e-1,  # unit 2^-4 of E4M3
}


def tolerance_for(precision: Precision) -> float:
    """The relative error that passes when nobody asks for another."""
    return TOLERANCES[precision]
