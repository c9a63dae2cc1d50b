"""Named arrays in one file: a zip of .npy members and an index, so that any name, text and bfloat16 survive.

NumPy's own .npz loses extension dtypes (bfloat16, float8) and would need pickle for text.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from core.base.dtypes import STRING, dtype_name, numpy_dtype
from core.base.tensors import Array, Tensors

INDEX = "index.json"


def write_tensors(path: Path, tensors: Tensors) -> None:
    index: dict[str, dict[str, object]] = {}
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, value) in enumerate(tensors.items()):
            array = np.asarray(value)
            stored = _storable(array)
            index[name] = {"member": f"{number}.npy", "dtype": dtype_name(array.dtype)}
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, stored, allow_pickle=False)
            archive.writestr(f"{number}.npy", buffer.getvalue())
        archive.writestr(INDEX, json.dumps(index))


def read_tensors(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        index = json.loads(archive.read(INDEX))
        return {name: _restored(archive.read(entry["member"]), entry["dtype"]) for name, entry in index.items()}


def _storable(array: Array) -> Array:
    if array.dtype.kind == "O":
        return np.array([item if isinstance(item, bytes) else str(item).encode() for item in array.flat]).reshape(array.shape)
    if array.dtype.kind == "U":
        return _storable(array.astype(object))
    if array.dtype.isbuiltin == 2:  # ml_dtypes' types, which NumPy's format does not know; float8_e5m2 calls itself of kind "f"
        return array.view(np.dtype(f"u{array.dtype.itemsize}"))
    return array


def _restored(data: bytes, dtype: str) -> Array:
    array: Array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if dtype == STRING:
        return array.astype(object)
    return array if array.dtype.name == dtype else array.view(numpy_dtype(dtype))
