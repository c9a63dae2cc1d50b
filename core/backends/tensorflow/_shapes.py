"""Shapes of what an executed graph computes, by TensorFlow's own shape inference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

log = logging.getLogger(__name__)

Shape = tuple[int, ...]
# Constants above this are weights; smaller ones can be a shape or an axis, whose value the inference needs.
_SMALL_BYTES = 4096


def infer_shapes(tf: Any, nodes: Sequence[Any], function: Any, tensors: Sequence[Any]) -> dict[str, Shape]:
    """Shapes by tensor name ("node" for a first output, "node:1" for a second), of those that can be told.

    Args:
        nodes: `NodeDef`s of the executed graph of `function`, run on `tensors`.
    """
    arguments = {node.name: node.attr["index"].i for node in nodes if node.op == "_Arg"}
    graph = tf.compat.v1.GraphDef()
    for node in nodes:
        if node.op in ("_Retval", "NoOp"):
            continue
        copy = graph.node.add(name=node.name)
        if node.op == "_Arg":
            index = arguments[node.name]
            shape = tensors[index].shape.as_proto() if index < len(tensors) else None
            _to_placeholder(copy, function.inputs[index].dtype.as_datatype_enum, shape)
        elif node.op == "ReadVariableOp":
            _to_placeholder(copy, node.attr["dtype"].type, _variable_shape(function, arguments.get(node.input[0])))
        elif node.op == "Const" and node.attr["value"].tensor.ByteSize() > _SMALL_BYTES:
            _to_placeholder(copy, node.attr["dtype"].type, node.attr["value"].tensor.tensor_shape)
        else:
            copy.CopyFrom(node)
            copy.input[:] = [name for name in node.input if not name.startswith("^")]
    try:
        with tf.Graph().as_default() as imported:
            tf.graph_util.import_graph_def(graph, name="")
    except (ValueError, tf.errors.OpError) as error:
        log.info("Shapes stay unknown: %s", error)
        return {}
    outputs = (tensor for operation in imported.get_operations() for tensor in operation.outputs)
    return {
        tensor.name.removesuffix(":0"): tuple(tensor.shape.as_list()) for tensor in outputs if tensor.shape.is_fully_defined()
    }


def _to_placeholder(node: Any, dtype: int, shape: Any) -> None:
    node.op = "Placeholder"
    node.attr["dtype"].type = dtype
    if shape is not None:
        node.attr["shape"].shape.CopyFrom(shape)


def _variable_shape(function: Any, argument: int | None) -> Any:
    """The shape of the variable behind one of a function's arguments, None when it is none."""
    captured = function.captured_inputs
    if argument is None or argument < (first := len(function.inputs) - len(captured)):
        return None
    handle = getattr(captured[argument - first], "_handle_data", None)
    return handle.shape_and_type[0].shape if handle is not None and handle.shape_and_type else None
