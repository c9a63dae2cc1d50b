"""Inputs for a trial run, where only shapes, types and kernels matter."""

from __future__ import annotations

import numpy as np

from core.base.dtypes import STRING, numpy_dtype
from core.base.profile import ShapeProfile
from core.base.tensors import Array, Signature


def zeros(signature: Signature, profile: ShapeProfile) -> dict[str, Array]:
    """Zeros (empty text) of the profile's opt shapes: they are in range as indices, masks and lengths alike.

    Raises:
        InvalidRequest: An input's rank is unknown.
    """
    return {spec.name: np.zeros(profile.shape(spec), dtype=_dtype(spec.dtype)) for spec in signature.inputs}


def _dtype(name: str) -> np.dtype[np.generic]:
    return np.dtype("U1") if name == STRING else numpy_dtype(name)
