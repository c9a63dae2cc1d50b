"""ONNX files: load, save, name, count. Everything here works on models above protobuf's limit of 2 GiB.

The layout of external data: https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper, numpy_helper

from core.errors import BrokenModel
from core.models.axes import RawTensor, with_symbols
from core.models.model import Axis, Signature
from core.models.weights import WeightTotal
from core.onnxwire import without_large_values

# Protobuf refuses messages of 2 GiB; runtimes copy embedded weights, so they go to a file of their own well before.
EXTERNAL_ABOVE_BYTES = 1 << 30
# Tensors below this stay in the graph; the others start at multiples of it, so that they can be mapped.
_PAGE_BYTES = 4096
_LONGEST_MESSAGE = (1 << 31) - 1
SIGNATURE_NAME = "main"

_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "UNDEFINED": "unknown"}
# Names that exporters give to axes of unknown length, tf2onnx and Paddle a new one for each.
_PLACEHOLDER = re.compile(r"\??|-1|[Nn]one|unk(__\d+)?|(p2o\.)?DynamicDimension\.\d+")


def dtype_name(element_type: int) -> str:
    """NumPy's (or ml_dtypes') name of a `TensorProto.DataType`."""
    try:
        name = str(onnx.TensorProto.DataType.Name(element_type))
    except ValueError:
        return "unknown"
    if name.startswith("FLOAT") and "E" in name:  # FLOAT8E4M3FN is float8_e4m3fn in NumPy's world
        return f"{name[:6]}_{name[6:]}".lower()
    return _DTYPES.get(name, name.lower())


def read_onnx(path: Path, *, weights: bool = True) -> onnx.ModelProto:
    """Reads a model.

    Args:
        path: The `.onnx` file; its external data lie beside it.
        weights: Whether to read the weights; without, large initializers lack their values and external data keep pointing
            at their files, which takes milliseconds and no memory. Such a model tells of the graph and cannot be saved.

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
        raise BrokenModel(f"{path.name} could not be read as ONNX: {error}.", hint="Export or download it again.") from error
    if not model.ir_version or not model.HasField("graph"):
        raise BrokenModel(f"{path.name} holds no ONNX graph.", hint="Export or download it again.")
    if weights:
        check_external_files(model, path.parent)
        external_data_helper.load_external_data_for_model(model, os.fspath(path.parent))
    _forget_placeholders(model.graph)
    return model


def _forget_placeholders(graph: onnx.GraphProto) -> None:
    """Clears axis names that only say "unknown": Paddle names several axes "?", and TensorRT takes one name for one length."""
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param") and _PLACEHOLDER.fullmatch(dim.dim_param):
                dim.ClearField("dim_param")


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


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every subgraph below it, outer ones first."""
    yield from _graphs_below(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _subgraphs(node)


def _graphs_below(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        yield from _subgraphs(node)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            yield from _graphs_below(graph)


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node: of the main graph, its subgraphs and the model's functions."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every stored tensor: initializers, sparse ones' values, and tensors in attributes (`Constant`)."""
    for graph in graphs(model):
        yield from _initializers(graph)
    for node in nodes(model):
        yield from _attribute_tensors(node)


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from (sparse.values for sparse in graph.sparse_initializer)


def _attribute_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def name_nodes(model: onnx.ModelProto) -> bool:
    """Gives every unnamed node, and every later one of a name that is taken, a name such as `Conv_12`.

    The number is the node's place in `nodes`, so equal models get equal names.

    Returns:
        Whether anything was named.
    """
    taken = {node.name for node in nodes(model)}
    seen = {""}
    changed = False
    for index, node in enumerate(nodes(model)):
        if node.name in seen:
            name = f"{node.op_type}_{index}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)
            changed = True
        seen.add(node.name)
    return changed


def op_counts(model: onnx.ModelProto) -> dict[str, int]:
    """Count of each op type, most frequent first; ops outside the default domain read `domain.Op`."""
    counted = Counter(
        node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}" for node in nodes(model)
    )
    return dict(counted.most_common())


def weight_total(model: onnx.ModelProto) -> WeightTotal:
    """Elements and bytes of the weights, whether or not external data are loaded.

    Weights made by `ConstantOfShape` from a stored shape count too: runtimes fold them into the engine.
    """
    total = WeightTotal()
    for graph in graphs(model):
        for tensor in _initializers(graph):
            total = total.plus(dtype_name(tensor.data_type), tensor.dims)
        shapes = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            filled = node.op_type == "ConstantOfShape"
            for tensor in _filled(node, shapes) if filled else _attribute_tensors(node):
                total = total.plus(dtype_name(tensor.data_type), tensor.dims)
    return total


def _filled(node: onnx.NodeProto, shapes: Mapping[str, onnx.TensorProto]) -> Iterator[onnx.TensorProto]:
    """What a `ConstantOfShape` of a stored shape makes, without its values."""
    shape = shapes.get(node.input[0])
    if shape is not None and not external_data_helper.uses_external_data(shape):
        value = next((tensor.data_type for tensor in _attribute_tensors(node)), onnx.TensorProto.FLOAT)
        yield onnx.TensorProto(data_type=value, dims=[int(axis) for axis in numpy_helper.to_array(shape)])


def opset(model: onnx.ModelProto) -> int | None:
    """The version of the default domain's operator set."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)


def graph_signature(model: onnx.ModelProto) -> Signature:
    """The graph's inputs that a caller must feed, and its outputs.

    Named dynamic axes keep their names. Unnamed ones are independent of each other: each gets a symbol of its own,
    but for a leading one that all inputs leave open, which is "batch".
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    inputs = [_raw(info) for info in model.graph.input if info.name not in weights]
    return with_symbols(SIGNATURE_NAME, inputs, [_raw(info) for info in model.graph.output], share=False)


def _raw(info: onnx.ValueInfoProto) -> RawTensor:
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return RawTensor(name=info.name, dtype=(kind or "unknown").removesuffix("_type"), shape=None)
    tensor = info.type.tensor_type
    shape = tuple(_axis(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    return RawTensor(name=info.name, dtype=dtype_name(tensor.elem_type), shape=shape)


def _axis(dim: Any) -> Axis | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return None if _PLACEHOLDER.fullmatch(dim.dim_param) else str(dim.dim_param)


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
        if tensor.ByteSize() < _PAGE_BYTES:
            return tensor
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)
    data = tensor.raw_data
    if len(data) < _PAGE_BYTES:
        return tensor
    file.write(b"\0" * (-file.tell() % _PAGE_BYTES))
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
