"""Element types: our name for each, which is NumPy's or ml_dtypes', its width, and what every framework calls it.

Numbers never change once published; a test holds them against the frameworks' own.
Sources: onnx.proto (TensorProto.DataType), tensorflow/core/framework/types.proto (DataType), TensorFlow Lite's schema.fbs
(TensorType).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.base.errors import InvalidRequest

STRING = "string"
UNKNOWN = "unknown"


class _Type(NamedTuple):
    """One element type.

    Attributes:
        bits: That one element takes; 0 where it has no width of its own.
        tensorflow: Its numbers there, the quantized types that are stored so among them.
        words: What OpenVINO, ONNX Runtime, TensorRT and XLA call it, in small letters.
    """

    name: str
    bits: int
    onnx: int | None
    tensorflow: tuple[int, ...]
    tflite: int | None
    words: tuple[str, ...] = ()


_TYPES = (
    _Type("float64", 64, 11, (2,), 10, ("f64", "double")),
    _Type("float32", 32, 1, (1,), 0, ("f32", "fp32", "float")),
    _Type("float16", 16, 10, (19,), 1, ("f16", "fp16", "half")),
    _Type("bfloat16", 16, 16, (14,), 18, ("bf16",)),
    _Type("float8_e4m3fn", 8, 17, (25,), 21, ("f8e4m3fn", "f8e4m3", "float8e4m3fn", "fp8", "float8")),
    _Type("float8_e4m3fnuz", 8, 18, (), None, ("f8e4m3fnuz", "float8e4m3fnuz")),
    _Type("float8_e5m2", 8, 19, (24,), 22, ("f8e5m2", "float8e5m2")),
    _Type("float8_e5m2fnuz", 8, 20, (), None, ("f8e5m2fnuz", "float8e5m2fnuz")),
    _Type("float8_e8m0fnu", 8, 24, (), None, ("f8e8m0",)),
    _Type("float6_e2m3fn", 6, 27, (), None),
    _Type("float6_e3m2fn", 6, 28, (), None),
    _Type("float4_e2m1fn", 4, 23, (), None, ("fp4", "f4e2m1")),
    _Type("int64", 64, 7, (9,), 4, ("i64", "s64")),
    _Type("int32", 32, 6, (3, 13), 2, ("i32", "s32")),
    _Type("int16", 16, 5, (5, 15), 7, ("i16", "s16")),
    _Type("int8", 8, 3, (6, 11), 9, ("i8", "s8")),
    _Type("int4", 4, 22, (29,), 17, ("i4", "s4")),
    _Type("int2", 2, 26, (), 19, ("i2", "s2")),
    _Type("uint64", 64, 13, (23,), 12, ("u64",)),
    _Type("uint32", 32, 12, (22,), 15, ("u32",)),
    _Type("uint16", 16, 4, (16, 17), 16, ("u16",)),
    _Type("uint8", 8, 2, (4, 12), 3, ("u8",)),
    _Type("uint4", 4, 21, (30,), 20, ("u4",)),
    _Type("uint2", 2, 25, (), None, ("u2",)),
    _Type("bool", 8, 9, (10,), 6, ("boolean", "pred")),
    _Type("complex64", 64, 14, (8,), 8, ("c64",)),
    _Type("complex128", 128, 15, (18,), 11, ("c128",)),
    _Type(STRING, 0, 8, (7,), 5),
    _Type("resource", 0, None, (20,), 13),
    _Type("variant", 0, None, (21,), 14),
)
_BITS = {kind.name: kind.bits for kind in _TYPES}
_ONNX = {kind.onnx: kind.name for kind in _TYPES}
_ONNX_NUMBERS = {kind.name: kind.onnx for kind in _TYPES if kind.onnx is not None}
_TENSORFLOW = {number: kind.name for kind in _TYPES for number in kind.tensorflow}
_TFLITE = {kind.tflite: kind.name for kind in _TYPES}
_WORDS = {word: kind.name for kind in _TYPES for word in (kind.name, *kind.words)}
_WORD = re.compile(rf"(?<![a-z0-9])({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?![a-z0-9])", re.IGNORECASE)


def bits(name: str) -> int:
    """Bits that one element takes; 0 when there is no such type, or it has no width."""
    return _BITS.get(name, 0)


def array_bytes(shape: Sequence[int] | None, name: str | None) -> int | None:
    """Bytes of a dense array, elements below a byte packed; None where its shape or type is not known, or has no width."""
    width = bits(name or "")
    return math.ceil(math.prod(shape) * width / 8) if shape is not None and width else None


def onnx_dtype(number: int) -> str:
    """Our name of a `TensorProto.DataType`, "unknown" for one that is not known."""
    return _ONNX.get(number, UNKNOWN)


def onnx_number(name: str) -> int:
    """The `TensorProto.DataType` of a type.

    Raises:
        InvalidRequest: ONNX has none.
    """
    if name not in _ONNX_NUMBERS:
        raise InvalidRequest(f"ONNX has no element type {name}.", hint=f"It has: {', '.join(_ONNX_NUMBERS)}.")
    return _ONNX_NUMBERS[name]


def tensorflow_dtype(number: int) -> str:
    """Our name of TensorFlow's `DataType`, "unknown" for one that is not known; references (TF1) are their type plus 100."""
    return _TENSORFLOW.get(number % 100, UNKNOWN)


def tflite_dtype(number: int) -> str:
    """Our name of TensorFlow Lite's `TensorType`, "unknown" for one that is not known."""
    return _TFLITE.get(number, UNKNOWN)


def worded_dtype(word: str) -> str | None:
    """Our name of a type that a runtime calls "f32", "FLOAT", "half" or "pred"; None when the word is not known."""
    return _WORDS.get(word.lower())


def dtype_in(phrase: str | None) -> str | None:
    """Our name of the element type that a phrase speaks of: "Row major linear FP16 format" is float16."""
    found = _WORD.search(phrase or "")
    return worded_dtype(found[1]) if found else None


def numpy_dtype(name: str) -> np.dtype[np.generic]:
    """The NumPy type of that name; objects for "string".

    Raises:
        InvalidRequest: There is no such type, or the package that has it is not installed.
    """
    if name == STRING:
        return np.dtype(object)
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes
    except ImportError:
        raise InvalidRequest(f"NumPy alone has no type {name}.", hint="pip install ml-dtypes") from None
    if not hasattr(ml_dtypes, name):
        raise InvalidRequest(f"No element type is called {name!r}.", hint="Name it as NumPy does, such as float32 or int64.")
    found: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, name))
    return found


def dtype_name(dtype: np.dtype[np.generic]) -> str:
    """Our name of a NumPy type."""
    return STRING if is_text(dtype) else dtype.name


def is_float(dtype: np.dtype[np.generic]) -> bool:
    """Whether it holds fractions: NumPy's floats and complex numbers, and ml_dtypes' bfloat16 and 8-bit floats."""
    return dtype.kind in "fc" or "float" in dtype.name


def is_text(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind in "OSU"


def integer_bounds(dtype: np.dtype[np.generic]) -> tuple[int, int]:
    """The smallest and largest value of an integer type, ml_dtypes' int4 and uint4 included."""
    width = bits(dtype.name)
    return (0, 2**width - 1) if dtype.name.startswith("u") else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
