"""A graph of 16-bit floats as the same graph of 32-bit ones, in place: what its own rounding costs is seen from that."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from core.onnxio.walk import graphs, nodes, tensors

NARROW = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type")


def element_types(model: onnx.ModelProto) -> Iterator[int]:
    """The types of what a graph takes, gives, stores and casts to."""
    for graph in graphs(model):
        yield from (value.type.tensor_type.elem_type for value in (*graph.input, *graph.output, *graph.value_info))
    yield from (tensor.data_type for tensor in tensors(model))
    yield from (attribute.i for node in nodes(model) for attribute in node.attribute if attribute.name in _TYPE_ATTRIBUTES)


def widen(model: onnx.ModelProto) -> None:
    """Makes every 16-bit float of a model, its weights included, one of 32 bits."""
    for tensor in tensors(model):
        if tensor.data_type in NARROW:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    for node in nodes(model):
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i in NARROW:
                attribute.i = TensorProto.FLOAT
    for graph in graphs(model):
        del graph.value_info[:]
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type in NARROW:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
