"""Inputs for a trial run, in which shapes, types and kernels matter and values may break it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.backends.base import Engine
from core.base.dtypes import STRING, numpy_dtype
from core.base.profile import ShapeProfile
from core.base.tensorfile import read_tensors, write_tensors
from core.base.tensors import Array, Signature, Tensors
from core.models.model import Source

_FILE = "trial.zip"


def trial_of(source: Source, profile: ShapeProfile) -> Tensors:
    """What the build is judged on, where that is known: it may be all that a model runs on. Else zeros.

    Raises:
        InvalidRequest: An input's rank is unknown.
    """
    return source.trial or zeros(source.signature, profile)


def keep_trial(source: Source, folder: Path) -> None:
    """Leaves the source's inputs beside the engine, for those who look into it."""
    if source.trial:
        write_tensors(folder / _FILE, source.trial)


def trial_inputs(engine: Engine) -> Tensors:
    """What was left beside the engine; zeros where nothing was.

    Raises:
        InvalidRequest: An input's rank is unknown.
    """
    kept = engine.folder / _FILE
    return read_tensors(kept) if kept.exists() else zeros(engine.signature, engine.config.profile)


def zeros(signature: Signature, profile: ShapeProfile) -> dict[str, Array]:
    """Zeros (empty text) of the profile's opt shapes: they are in range as indices, masks and lengths alike.

    Raises:
        InvalidRequest: An input's rank is unknown.
    """
    return {spec.name: np.zeros(profile.shape(spec), dtype=_dtype(spec.dtype)) for spec in signature.inputs}


def _dtype(name: str) -> np.dtype[np.generic]:
    return np.dtype("U1") if name == STRING else numpy_dtype(name)
