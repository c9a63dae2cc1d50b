"""Arrays as OpenVINO's tensors and back, of types that NumPy lacks too: those of 4 bits lie two in a byte, the first one low."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.backends.openvino._reading import dtype_of, imported
from core.base.dtypes import numpy_dtype
from core.base.tensors import Array

_Octets = NDArray[np.uint8]
_WORDS = {
    "bfloat16": "bf16",
    "float8_e4m3fn": "f8e4m3",
    "float8_e5m2": "f8e5m2",
    "float8_e8m0fnu": "f8e8m0",
    "float4_e2m1fn": "f4e2m1",
    "int4": "i4",
    "uint4": "u4",
}
_PACKED = frozenset({"f4e2m1", "i4", "u4"})


def as_tensor(array: Array) -> Any:
    """A tensor that looks at the array's memory, and does not keep it alive, where NumPy has its type."""
    openvino = imported()
    word = _WORDS.get(array.dtype.name)
    if word is None:
        return openvino.Tensor(array, shared_memory=True)
    kind, shape = getattr(openvino.Type, word), openvino.Shape(array.shape)
    bits = array.view(f"uint{8 * array.dtype.itemsize}").reshape(-1)
    if word not in _PACKED:
        return openvino.Tensor(bits, shape, kind)
    made = openvino.Tensor(kind, shape)
    made.data.view(np.uint8)[...] = _packed(bits.view(np.uint8))
    return made


def as_array(tensor: Any) -> Array:
    """A copy: the runtime writes its next results to the same place."""
    name = dtype_of(tensor.element_type)
    copy = np.array(tensor.data)
    if name not in _WORDS:
        return copy
    dtype = numpy_dtype(name)
    if _WORDS[name] in _PACKED:
        copy = _unpacked(copy.view(np.uint8), tensor.get_size()).reshape(tuple(tensor.shape))
    return copy.view(dtype)


def _packed(bits: _Octets) -> _Octets:
    even = np.append(bits, np.zeros(bits.size % 2, np.uint8)) & 15
    return np.asarray(even[::2] | (even[1::2] << 4), np.uint8)


def _unpacked(octets: _Octets, count: int) -> _Octets:
    return np.stack([octets & 15, octets >> 4], axis=-1).reshape(-1)[:count]
