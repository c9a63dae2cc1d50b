"""Inputs for a trial run, where only shapes, types and kernels matter."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.base.profile import ShapeProfile
from core.base.tensors import Array, Signature


def zeros(signature: Signature, profile: ShapeProfile) -> dict[str, Array]:
    """Zeros (empty text) of the profile's opt shapes: they are in range as indices, masks and lengths alike.

    Raises:
        InvalidRequest: An input's rank is unknown.
    """
    return {spec.name: np.zeros(profile.shape(spec), dtype=_dtype(spec.dtype)) for spec in signature.inputs}


def _dtype(name: str) -> Any:
    """NumPy's type of that name, or one of the types that ml_dtypes adds to it."""
    if name == "string":
        return np.dtype("U1")
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
