"""NumPy types by the names that signatures use, those of ml_dtypes included."""

from __future__ import annotations

import numpy as np

from core.base.errors import InvalidRequest

STRING = "string"


def dtype_named(name: str) -> np.dtype[np.generic]:
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


def is_float(dtype: np.dtype[np.generic]) -> bool:
    """Whether it holds fractions: NumPy's floats and complex numbers, and ml_dtypes' bfloat16 and 8-bit floats."""
    return dtype.kind in "fc" or "float" in dtype.name


def is_text(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind in "OSU"


def integer_bounds(dtype: np.dtype[np.generic]) -> tuple[int, int]:
    """The smallest and largest value of an integer type, ml_dtypes' int4 and uint4 included."""
    bits = int(dtype.name.removeprefix("u").removeprefix("int"))
    return (0, 2**bits - 1) if dtype.name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def dtype_name(dtype: np.dtype[np.generic]) -> str:
    return STRING if is_text(dtype) else dtype.name
