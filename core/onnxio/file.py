"""ONNX files: load and save. Everything here works on models above protobuf's limit of 2 GiB.

The layout of external data: https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper, numpy_helper

from core.base.errors import BrokenModel
from core.onnxio.skim import without_large_values
from core.onnxio.walk import is_placeholder, tensors

# Protobuf refuses messages of 2 GiB; runtimes copy embedded weights, so they go to a file of their own well before.
EXTERNAL_ABOVE_BYTES = 1 << 30
# Tensors below this stay in the graph; the others start at multiples of it, so that they can be mapped.
PAGE_BYTES = 4096
_LONGEST_MESSAGE = (1 << 31) - 1


def read_onnx(path: Path, *, weights: bool = True, external: bool = True) -> onnx.ModelProto:
    """Reads a model.

    Args:
        path: The `.onnx` file; its external data lie beside it.
        weights: Whether to read the weights; without, large initializers lack their values and external data keep pointing
            at their files, which takes milliseconds and no memory. Such a model tells of the graph and cannot be saved.
        external: Whether to read weights that lie in files of their own; without, the model keeps pointing at them.

    Raises:
        BrokenModel: It is no ONNX model, or external data are missing, cut short or outside its folder.
    """
    if path.stat().st_size > _LONGEST_MESSAGE:
        raise BrokenModel(
            f"{path.name} is larger than 2 GiB, which no reader of ONNX takes.",
            hint="Export it with its weights as external data.",
        )
    try:
        if weights:
            model = onnx.load_model(os.fspath(path), format="protobuf", load_external_data=False)
        else:
            model = onnx.load_model_from_string(without_large_values(path))
    except (DecodeError, ValueError) as error:
        raise BrokenModel(
            f"{path.name} could not be read as ONNX: {str(error).rstrip('.')}.", hint="Export or download it again."
        ) from error
    if not model.ir_version or not model.HasField("graph"):
        raise BrokenModel(f"{path.name} holds no ONNX graph.", hint="Export or download it again.")
    if weights:
        check_external_files(model, path.parent)
    if weights and external:
        external_data_helper.load_external_data_for_model(model, os.fspath(path.parent))
    _forget_placeholders(model.graph)
    return model


def save_onnx(model: onnx.ModelProto, path: Path, *, external_above: int = EXTERNAL_ABOVE_BYTES) -> tuple[Path, ...]:
    """Writes a model whose weights are in memory, and leaves it as it is.

    Args:
        model: The model.
        path: Of the `.onnx` file.
        external_above: Bytes of weights from which on they go to `<path>.data`.

    Returns:
        The files written, the `.onnx` file first.
    """
    if _stored_bytes(model) <= external_above:
        path.write_bytes(model.SerializeToString())
        return (path,)
    data = path.with_name(f"{path.name}.data")
    with data.open("wb") as file:
        path.write_bytes(_with_external_data(model, data.name, file).SerializeToString())
    return path, data


def _forget_placeholders(graph: onnx.GraphProto) -> None:
    """Clears axis names that only say "unknown": Paddle names several axes "?", and TensorRT takes one name for one length."""
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param") and is_placeholder(dim.dim_param):
                dim.ClearField("dim_param")


def external_files(model: onnx.ModelProto) -> dict[str, int]:
    """External data files by location (relative, POSIX), with the size in bytes that each must have at least.

    Raises:
        BrokenModel: A location leaves the model's folder, or its numbers make no sense.
    """
    found: dict[str, int] = {}
    for tensor in tensors(model):
        if not external_data_helper.uses_external_data(tensor):
            continue
        entry = {item.key: item.value for item in tensor.external_data}
        location = entry.get("location", "")
        parts = PurePosixPath(location).parts
        if not parts or ".." in parts or location.startswith("/") or PureWindowsPath(location).drive or "\\" in location:
            raise BrokenModel(
                f"Tensor {tensor.name} keeps its data in {location!r}, which is not below the model's folder.",
                hint="Save the model again with its data beside it.",
            )
        try:
            needed = int(entry.get("offset", 0)) + int(entry.get("length", 0))
        except ValueError:
            raise BrokenModel(f"Tensor {tensor.name} has an unreadable external data entry.", hint="Export it again.") from None
        name = os.fspath(PurePosixPath(location))
        found[name] = max(found.get(name, 0), needed)
    return found


def check_external_files(model: onnx.ModelProto, folder: Path) -> None:
    """Makes sure that every external data file is there and long enough.

    Raises:
        BrokenModel: One is not; the message names each.
    """
    files = external_files(model)
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise BrokenModel(
            f"The model's external data are missing: {', '.join(sorted(missing))}.",
            hint="Give the folder or an archive that holds the .onnx file and its data files.",
        )
    if short := [name for name, needed in files.items() if (folder / name).stat().st_size < needed]:
        raise BrokenModel(f"External data are cut short: {', '.join(sorted(short))}.", hint="Copy or download them again.")


def _stored_bytes(model: onnx.ModelProto) -> int:
    return sum(len(t.raw_data) if t.HasField("raw_data") else t.ByteSize() for t in tensors(model))


def _with_external_data(model: onnx.ModelProto, location: str, file: BinaryIO) -> onnx.ModelProto:
    """A copy that keeps its large tensors in `file`; initializers are never copied in memory."""
    copy = onnx.ModelProto()
    _merge_fields(model, copy, skip="graph")
    _merge_fields(model.graph, copy.graph, skip="initializer")
    for tensor in model.graph.initializer:
        copy.graph.initializer.append(_externalized(tensor, location, file))
    for tensor in tensors(copy):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            tensor.CopyFrom(_externalized(tensor, location, file))
    return copy


def _externalized(tensor: onnx.TensorProto, location: str, file: BinaryIO) -> onnx.TensorProto:
    """The tensor itself when it is small or text, else a stub that points at its bytes in `file`."""
    if tensor.data_type == onnx.TensorProto.STRING or external_data_helper.uses_external_data(tensor):
        return tensor
    if not tensor.HasField("raw_data"):
        if tensor.ByteSize() < PAGE_BYTES:
            return tensor
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)
    return tensor if len(tensor.raw_data) < PAGE_BYTES else written_apart(tensor, location, file)


def written_apart(tensor: onnx.TensorProto, location: str, file: BinaryIO) -> onnx.TensorProto:
    """Writes a tensor's raw data to `file`, from a page's start on.

    Returns:
        A stub that points at them there, by the file's `location`.
    """
    data = tensor.raw_data
    file.write(b"\0" * (-file.tell() % PAGE_BYTES))
    stub = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    stub.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", file.tell()), ("length", len(data))):
        stub.external_data.add(key=key, value=str(value))
    file.write(data)
    return stub


def _merge_fields(source: Any, target: Any, *, skip: str) -> None:
    for field, value in source.ListFields():
        if field.name == skip:
            continue
        if hasattr(value, "MergeFrom"):
            getattr(target, field.name).MergeFrom(value)
        else:
            setattr(target, field.name, value)
