"""A frozen graph with every 16-bit float as one of 32 bits: what its own rounding costs is seen from that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.backends.tensorflow import _frozen
from core.backends.tensorflow._loading import Flat, graph_call
from core.base.tensors import NARROW_FLOATS
from core.models.tf_graph import all_nodes


def narrow_type(tf: Any, graph: Any) -> str:
    """The narrowest float type that a `GraphDef` computes in; empty where there is none of 16 bits."""
    numbers = {tf.as_dtype(name).as_datatype_enum: name for name in NARROW_FLOATS}
    found = {numbers.get(number) for node in all_nodes(graph) for value in node.attr.values() for number in _types(value)}
    return next((name for name in NARROW_FLOATS if name in found), "")


def wide(tf: Any, traced: Any) -> Flat:
    """The traced function, frozen, computing in float32.

    Raises:
        BuildFailed: It cannot be frozen.
    """
    frozen = _frozen.freeze(traced)
    graph = frozen.graph.as_graph_def()
    narrow = {tf.as_dtype(name).as_datatype_enum for name in NARROW_FLOATS}
    float32 = tf.float32.as_datatype_enum
    for node in all_nodes(graph):
        for value in node.attr.values():
            if value.HasField("tensor") and value.tensor.dtype in narrow:
                value.tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(value.tensor).astype("float32")))
            if value.type in narrow:
                value.type = float32
            if value.HasField("list"):
                value.list.type[:] = [float32 if kind in narrow else kind for kind in value.list.type]
    for function in graph.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            argument.type = float32 if argument.type in narrow else argument.type
    return graph_call(tf, graph, [tensor.name for tensor in frozen.inputs], [tensor.name for tensor in frozen.outputs])


def _types(value: Any) -> Iterator[int]:
    yield value.type
    yield from value.list.type
