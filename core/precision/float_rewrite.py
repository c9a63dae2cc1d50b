"""FP16 and BF16 as types in the ONNX graph: writes what was planned, with casts only where the two precisions meet."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from core.onnxio.walk import captured
from core.precision.element_types import ELEMENT_TYPE, round_array, round_up
from core.precision.float_plan import FloatPlan
from core.precision.view import QDQ_OPS, GraphView

_SUFFIX = {element_type: f"_{precision.value}" for precision, element_type in ELEMENT_TYPE.items()}


def convert(model: onnx.ModelProto, decided: FloatPlan, *, keep_io_types: bool = True) -> onnx.ModelProto:
    """Writes the planned types into the model, in place, and returns it.

    Node names and the names of inputs and outputs stay; casts are named after the tensor they carry.

    Args:
        model: The model the plan was made for.
        decided: What to change.
        keep_io_types: Leave the graph's inputs and outputs in FP32 with a cast beside them.
    """
    _Rewrite(model, decided, keep_io_types).run()
    return model


class _Rewrite:
    def __init__(self, model: onnx.ModelProto, decided: FloatPlan, keep_io_types: bool) -> None:
        self.graph = model.graph
        self.view = GraphView(model)
        self.to = decided.to
        self.low = decided.low
        self.suffix = _SUFFIX[decided.to]
        self.keep_io = keep_io_types
        self.low_name: dict[str, str] = {}  # FP32 tensor -> its converted twin
        self.high_name: dict[str, str] = {}  # converted tensor -> its FP32 twin
        self.nodes: list[NodeProto] = []

    def run(self) -> None:
        self.low_tensors = {
            name
            for node in self.graph.node
            if node.name in self.low
            for i, name in enumerate(node.output)
            if name and i in self.low[node.name][1]
        }
        self._constants()
        self._inputs()
        for node in list(self.graph.node):
            self._node(node)
        for value in self.graph.output:
            if value.name in self.low_tensors and not self.keep_io:
                value.type.tensor_type.elem_type = self.to
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        for value in self.graph.value_info:
            if value.name in self.low_tensors and value.name not in self.high_name.values():
                value.type.tensor_type.elem_type = self.to

    def _wants_low(self, name: str) -> bool:
        return any(
            node.name in self.low and any(n == name and i in self.low[node.name][0] for i, n in enumerate(node.input))
            for node in self.view.consumers.get(name, [])
        )

    def _wants_high(self, name: str) -> bool:
        readers = self.view.consumers.get(name, [])
        return any(
            name in captured(node)
            or any(n == name and (node.name not in self.low or i not in self.low[node.name][0]) for i, n in enumerate(node.input))
            for node in readers
        )

    def _constants(self) -> None:
        for tensor in list(self.graph.initializer):
            if tensor.data_type != TensorProto.FLOAT or not self._wants_low(tensor.name):
                continue
            rounded = numpy_helper.from_array(self._rounded(tensor), tensor.name)
            if self._wants_high(tensor.name) or tensor.name in self.view.outputs:
                rounded.name = self.low_name[tensor.name] = tensor.name + self.suffix
                self.graph.initializer.append(rounded)
            else:
                self.low_name[tensor.name] = tensor.name
                tensor.CopyFrom(rounded)

    def _rounded(self, tensor: TensorProto) -> NDArray[np.generic]:
        """Scales of Q and DQ are rounded up, so that none becomes zero and nothing beyond the grid's end appears."""
        array = numpy_helper.to_array(tensor)
        readers = self.view.consumers.get(tensor.name, [])
        is_scale = any(n.op_type in QDQ_OPS and n.input[1] == tensor.name for n in readers)
        return round_up(array, self.to) if is_scale else round_array(array, self.to)

    def _inputs(self) -> None:
        for value in self.graph.input:
            if value.type.tensor_type.elem_type != TensorProto.FLOAT or not self._wants_low(value.name):
                continue
            if self.keep_io:
                self._cast(value.name, value.name + self.suffix, self.to)
                self.low_name[value.name] = value.name + self.suffix
            else:
                value.type.tensor_type.elem_type = self.to
                self.low_name[value.name] = value.name
                if self._wants_high(value.name):
                    self._cast(value.name, value.name + "_fp32", TensorProto.FLOAT)
                    self.high_name[value.name] = value.name + "_fp32"

    def _node(self, node: NodeProto) -> None:
        ins, outs = self.low.get(node.name, (frozenset[int](), frozenset[int]()))
        for i, name in enumerate(node.input):
            node.input[i] = (self.low_name if i in ins else self.high_name).get(name, name)
        if outs:
            _retype(node, self.to)
        self.nodes.append(node)
        for i, name in enumerate(node.output):
            if name and i in outs:
                self._low_output(node, i, name)
            elif name and self.view.is_float(name) and self._wants_low(name):
                self._cast(name, name + self.suffix, self.to)
                self.low_name[name] = name + self.suffix

    def _low_output(self, node: NodeProto, position: int, name: str) -> None:
        """Names the two versions of a converted output; the FP32 one keeps the name where it cannot change."""
        fixed = (self.keep_io and name in self.view.outputs) or any(
            name in captured(n) for n in self.view.consumers.get(name, [])
        )
        if fixed:
            node.output[position] = self.low_name[name] = name + self.suffix
            self.high_name[name] = name
            self._cast(name + self.suffix, name, TensorProto.FLOAT)
            return
        self.low_name[name] = name
        if self._wants_high(name):
            self.high_name[name] = name + "_fp32"
            self._cast(name, name + "_fp32", TensorProto.FLOAT)

    def _cast(self, source: str, target: str, to: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], name=f"{source}_to_{target}", to=to))


def _retype(node: NodeProto, to: int) -> None:
    """Changes the attributes that say what type a node makes."""
    if node.op_type == "ConstantOfShape":
        value = next((numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"), np.zeros(1, np.float32))
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(round_array(value, to))))
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = to
