"""NumPy's .npy format, as far as arrays are looked at without reading them whole.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from core.base.tensors import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """An array's shape and type, known without reading it."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran: bool

    @property
    def in_rows(self) -> bool:
        """Whether the elements along the leading axis lie one after the other as bytes."""
        return bool(self.shape) and not self.fortran and not self.dtype.hasobject


def read_header(file: IO[bytes]) -> Header:
    """Reads a header and stays behind it.

    Raises:
        ValueError: It is none.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return Header(shape=shape, dtype=dtype, fortran=fortran)


def read_rows(file: IO[bytes], header: Header) -> Iterator[Array]:
    """The elements along the leading axis, read as they are asked for, of an array that is `in_rows`.

    Raises:
        EOFError: It is cut short.
    """
    shape = header.shape[1:]
    size = math.prod(shape) * header.dtype.itemsize
    for number in range(header.shape[0]):
        if len(data := file.read(size)) < size:
            raise EOFError(f"it ends within row {number} of {header.shape[0]}")
        yield np.frombuffer(data, header.dtype).reshape(shape)
