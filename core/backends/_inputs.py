"""What every session checks before its runtime sees an array, so that all of them refuse in the same words."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.base.dtypes import STRING, dtype_name
from core.base.errors import InvalidRequest
from core.base.tensors import Array, Signature, Tensors, TensorSpec


def check_inputs(signature: Signature, inputs: Tensors) -> dict[str, Array]:
    """The inputs in the signature's order, contiguous and in native byte order; text as objects.

    Raises:
        InvalidRequest: A name, dtype, rank or fixed axis is not the signature's.
    """
    names = [spec.name for spec in signature.inputs]
    wrong = [f"no input {name}" for name in names if name not in inputs]
    wrong += [f"an unknown input {name}" for name in inputs if name not in names]
    if wrong:
        takes = "; ".join(describe_spec(spec) for spec in signature.inputs) or "no inputs"
        raise InvalidRequest(f"Signature {signature.name} was given {' and '.join(wrong)}.", hint=f"It takes {takes}.")
    return {spec.name: _checked(spec, np.asarray(inputs[spec.name])) for spec in signature.inputs}


def describe_spec(spec: TensorSpec) -> str:
    """A spec as people read it: `image: float32 [batch, 224, 224, 3]`."""
    shape = "of any shape" if spec.shape is None else f"[{', '.join(str(axis) for axis in spec.shape)}]"
    return f"{spec.name}: {spec.dtype} {shape}"


def as_text(array: Array) -> Array:
    """Text of any NumPy kind as an object array of `str`; elements that are not UTF-8 stay `bytes`."""
    text = np.empty(array.shape, dtype=object)
    for index, element in np.ndenumerate(array):
        text[index] = _decoded(element)
    return text


def _decoded(element: Any) -> str | bytes:
    if not isinstance(element, bytes):
        return str(element)
    try:
        return element.decode()
    except UnicodeDecodeError:
        return bytes(element)


def _checked(spec: TensorSpec, array: Array) -> Array:
    dtype = dtype_name(array.dtype)
    if dtype != spec.dtype or not _fits(spec, array.shape):
        raise InvalidRequest(
            f"Input {spec.name} was given {dtype} {list(array.shape)}.", hint=f"The model takes {describe_spec(spec)}."
        )
    return as_text(array) if dtype == STRING else np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def _fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    if spec.shape is None:
        return True
    return len(spec.shape) == len(shape) and all(
        isinstance(axis, str) or axis == length for axis, length in zip(spec.shape, shape, strict=True)
    )
