"""Looking things up in an ONNX graph: who makes a tensor, who reads it, what type it has."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper

from core.onnxio.walk import captured, opset

_WEIGHTS_NO_INPUTS = 4
QDQ_OPS = ("QuantizeLinear", "DequantizeLinear")


class GraphView:
    """Indexes of one graph as it was when the view was made.

    Attributes:
        producer: The node that makes each tensor.
        consumers: The nodes that read each tensor, subgraphs' readers under the node that holds the subgraph.
        constants: Initializers by name.
        dtypes: ONNX element type of every tensor whose type is known.
        inputs: Names of the graph's inputs that a caller feeds.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.model = model
        self.opset = opset(model) or 1
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = [value.name for value in graph.input if value.name not in self.constants]
        self.outputs = [value.name for value in graph.output]
        self.producer: dict[str, NodeProto] = {}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            self.producer.update({name: node for name in node.output if name})
            for name in dict.fromkeys([*node.input, *captured(node)]):
                if name:
                    self.consumers[name].append(node)
        self.dtypes = _dtypes(model)

    def reads(self, name: str) -> list[tuple[str, int]]:
        """The (node, input position) pairs that read a tensor."""
        return [(node.name, i) for node in self.consumers.get(name, []) for i, given in enumerate(node.input) if given == name]

    def is_float(self, name: str) -> bool:
        return self.dtypes.get(name) == TensorProto.FLOAT

    def array(self, name: str) -> NDArray[np.generic]:
        """An initializer's values."""
        return np.asarray(numpy_helper.to_array(self.constants[name]))

    def shape(self, name: str) -> tuple[int, ...]:
        """An initializer's shape."""
        return tuple(self.constants[name].dims)

    def only_consumer(self, name: str) -> NodeProto | None:
        """The one node that reads a tensor that is no output of the graph, else None."""
        readers = self.consumers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def attribute(node: NodeProto, name: str, default: int = 0) -> int:
    """An integer attribute."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def lift_constants(model: onnx.ModelProto) -> None:
    """Turns `Constant` nodes into initializers and takes initializers off the inputs, in place.

    From IR version 4 on, weights need not be inputs; to ONNX's own tools those of an older one would be undefined.
    """
    model.ir_version = max(model.ir_version, _WEIGHTS_NO_INPUTS)
    kept = []
    for node in model.graph.node:
        values = [a for a in node.attribute if a.name.startswith("value")]
        if node.op_type == "Constant" and len(values) == 1 and (tensor := _constant(values[0])) is not None:
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
        else:
            kept.append(node)
    if len(kept) != len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(kept)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in constants]:
        model.graph.input.remove(value)


def _constant(value: onnx.AttributeProto) -> TensorProto | None:
    if value.name == "value":
        return value.t
    plain = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if value.name not in plain:
        return None  # strings and sparse tensors stay nodes
    return numpy_helper.from_array(np.asarray(onnx.helper.get_attribute_value(value), plain[value.name]))


def _dtypes(model: onnx.ModelProto) -> dict[str, int]:
    graph = model.graph
    found = {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
    for value in [*graph.input, *graph.output, *graph.value_info, *_inferred(model)]:
        if value.type.HasField("tensor_type"):
            found.setdefault(value.name, int(value.type.tensor_type.elem_type))
    return found


def _inferred(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Types of the tensors between nodes. Large weights are left out: types need none, and a copy costs their size."""
    return list(onnx.shape_inference.infer_shapes(without_weights(model)).graph.value_info)


def without_weights(model: onnx.ModelProto, limit: int = 1024) -> onnx.ModelProto:
    """A copy in which initializers above `limit` elements are inputs, for passes that would only copy them."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    present = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if int(np.prod(tensor.dims, dtype=np.int64)) <= limit:
            graph.initializer.append(tensor)
        elif tensor.name not in present:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return light
