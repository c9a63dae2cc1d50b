"""What an ONNX graph takes and gives, and what its weights count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from onnx import external_data_helper, numpy_helper

from core.base.dtypes import UNKNOWN, onnx_dtype
from core.base.tensors import Axis, Signature
from core.models.axes import RawTensor, with_symbols
from core.models.weights import WeightTotal
from core.onnxio.walk import attribute_tensors, graphs, initializers, is_placeholder

SIGNATURE_NAME = "main"


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
        return RawTensor(name=info.name, dtype=(kind or UNKNOWN).removesuffix("_type"), shape=None)
    tensor = info.type.tensor_type
    shape = tuple(_axis(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    return RawTensor(name=info.name, dtype=onnx_dtype(tensor.elem_type), shape=shape)


def _axis(dim: Any) -> Axis | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return None if is_placeholder(dim.dim_param) else str(dim.dim_param)


def weight_total(model: onnx.ModelProto) -> WeightTotal:
    """Elements and bytes of the weights, whether or not external data are loaded.

    Weights made by `ConstantOfShape` from a stored shape count too: runtimes fold them into the engine.
    """
    total = WeightTotal()
    for graph in graphs(model):
        for tensor in initializers(graph):
            total = total.plus(onnx_dtype(tensor.data_type), tensor.dims)
        shapes = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            filled = node.op_type == "ConstantOfShape"
            for tensor in _filled(node, shapes) if filled else attribute_tensors(node):
                total = total.plus(onnx_dtype(tensor.data_type), tensor.dims)
    return total


def _filled(node: onnx.NodeProto, shapes: Mapping[str, onnx.TensorProto]) -> Iterator[onnx.TensorProto]:
    """What a `ConstantOfShape` of a stored shape makes, without its values."""
    shape = shapes.get(node.input[0])
    if shape is not None and not external_data_helper.uses_external_data(shape):
        value = next((tensor.data_type for tensor in attribute_tensors(node)), onnx.TensorProto.FLOAT)
        yield onnx.TensorProto(data_type=value, dims=[int(axis) for axis in numpy_helper.to_array(shape)])
