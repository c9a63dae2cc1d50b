"""Arrays by name, and what a callable takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Tensors = Mapping[str, Array]
# An axis: a fixed length, or the symbol of a dynamic one ("batch"). Equal symbols are equal lengths.
Axis = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A named tensor.

    Attributes:
        name: The name a caller feeds or fetches it by (a signature's key, an ONNX value name).
        dtype: NumPy's name of the element type ("float32", "int64", "bfloat16"), "string" for text.
        shape: One entry an axis; None when the rank is unknown.
    """

    name: str
    dtype: str
    shape: tuple[Axis, ...] | None

    @property
    def lengths(self) -> list[int | None] | None:
        """The shape as TensorFlow takes it: None for a dynamic axis."""
        return None if self.shape is None else [None if isinstance(axis, str) else axis for axis in self.shape]

    @property
    def dynamic_axes(self) -> tuple[str, ...]:
        return tuple(axis for axis in self.shape or () if isinstance(axis, str))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One callable of a model.

    Attributes:
        guessed: Symbols that stand for several axes by a guess: the format tells of each only that its length is open.
        lengths: Of open axes, by symbol, where the graph does not take what is usually guessed, and takes these.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    guessed: tuple[str, ...] = ()
    lengths: dict[str, int] = field(default_factory=dict)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The dynamic axes of the inputs, each once, in order."""
        return tuple(dict.fromkeys(axis for spec in self.inputs for axis in spec.dynamic_axes))


NARROW_FLOATS = ("bfloat16", "float16")


def widened(signature: Signature) -> Signature:
    """The signature with every 16-bit float as one of 32 bits."""

    def wide(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(replace(spec, dtype="float32") if spec.dtype in NARROW_FLOATS else spec for spec in specs)

    return replace(signature, inputs=wide(signature.inputs), outputs=wide(signature.outputs))


class Session(Protocol):
    """A loaded engine, ready to run."""

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Runs once; keys are the signature's input and output names, arrays are NumPy's on the host."""
        ...
