"""The table of element types, held against the frameworks' own."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as tflite
from onnx import helper

from core.base import dtypes
from core.base.dtypes import bits, dtype_in, dtype_name, numpy_dtype, onnx_dtype, onnx_number, tflite_dtype, worded_dtype
from core.base.errors import InvalidRequest

# Every name that an array can have.
ARRAYS = [kind.name for kind in dtypes._TYPES if kind.name not in ("resource", "variant")]


def test_every_type_of_onnx_has_the_number_and_the_numpy_type_that_onnx_gives_it() -> None:
    numbers = {name: number for name, number in onnx.TensorProto.DataType.items() if name != "UNDEFINED"}
    assert set(numbers.values()) <= set(dtypes._ONNX_NUMBERS.values())
    for name, number in numbers.items():
        assert numpy_dtype(onnx_dtype(number)) == np.dtype(helper.tensor_dtype_to_np_dtype(number)), name
        assert onnx_number(onnx_dtype(number)) == number
    assert onnx_dtype(0) == onnx_dtype(99) == "unknown"


def test_every_type_of_tflite_has_its_number() -> None:
    for name, number in vars(tflite.TensorType).items():
        if not name.startswith("_"):
            assert tflite_dtype(number) == name.lower()
    assert tflite_dtype(99) == "unknown"


def test_what_onnx_lacks_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no element type resource"):
        onnx_number("resource")


@pytest.mark.parametrize("name", ARRAYS)
def test_names_are_numpys(name: str) -> None:
    assert dtype_name(numpy_dtype(name)) == name


@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "string"])
def test_bits_are_those_of_the_type(name: str) -> None:
    if name.startswith(("int", "uint")):
        held = ml_dtypes.iinfo(numpy_dtype(name)).bits
    elif name.startswith(("float", "bfloat")):
        held = ml_dtypes.finfo(numpy_dtype(name)).bits
    else:
        held = 8 * numpy_dtype(name).itemsize
    assert bits(name) == held


@pytest.mark.parametrize(
    ("dtype", "width"),
    [("float32", 32), ("bfloat16", 16), ("int4", 4), ("bool", 8), ("float8_e4m3fn", 8), ("float4_e2m1fn", 4), ("complex64", 64)],
)
def test_bits(dtype: str, width: int) -> None:
    assert bits(dtype) == width


@pytest.mark.parametrize(
    ("word", "dtype"),
    [
        ("f32", "float32"),  # OpenVINO's and XLA's
        ("boolean", "bool"),
        ("i8", "int8"),
        ("s8", "int8"),
        ("pred", "bool"),
        ("c64", "complex64"),
        ("double", "float64"),  # ONNX Runtime's
        ("HALF", "float16"),  # TensorRT's
        ("float16", "float16"),
        ("dynamic", None),
        ("", None),
    ],
)
def test_words(word: str, dtype: str | None) -> None:
    assert worded_dtype(word) == dtype


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("Row major linear FP32", "float32"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("Half", "float16"),
        ("BFloat16", "bfloat16"),
        ("Row major linear BF16 format (kLINEAR)", "bfloat16"),
        ("FP8", "float8_e4m3fn"),
        ("Int64", "int64"),
        ("UInt8", "uint8"),
        ("Bool", "bool"),
        ("Two wide channel vectorized row major", None),
        (None, None),
    ],
)
def test_types_are_found_in_phrases(text: str | None, dtype: str | None) -> None:
    assert dtype_in(text) == dtype


@pytest.mark.parametrize(
    ("shape", "dtype", "count"),
    [
        ((3,), "int4", 2),
        ((), "float32", 4),
        ((0, 5), "float32", 0),
        (None, "float32", None),
        ((1,), "string", None),
        ((1,), None, None),
    ],
)
def test_bytes_of_an_array(shape: tuple[int, ...] | None, dtype: str | None, count: int | None) -> None:
    assert dtypes.array_bytes(shape, dtype) == count
