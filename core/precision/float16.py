"""FP16 and BF16 as types in the ONNX graph, with casts only where the two precisions meet.

`plan` decides node by node what can change, `convert` writes the graph. What a node's slots may hold is read from
ONNX's own operator schemas, so a graph that was valid stays valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, inliner, numpy_helper

from core.base.precision import Precision
from core.onnxio.walk import STANDARD_DOMAINS, captured, name_nodes, subgraphs
from core.precision.view import GraphView, lift_constants

ELEMENT_TYPE = {Precision.FP16: TensorProto.FLOAT16, Precision.BF16: TensorProto.BFLOAT16}
NUMPY_TYPE: dict[int, np.dtype[np.generic]] = {
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
}
LARGEST_FP16 = 65504.0
SMALLEST_FP16 = 2.0**-24
# Calibration data rarely holds the largest value there is: a tensor within this factor of the limit counts as beyond it.
HEADROOM = 2.0

# They only move data: between two FP32 nodes they stay FP32 rather than being wrapped in casts.
_MOVERS = frozenset(
    (
        "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Shape", "Size", "Slice",
        "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    )
)  # fmt: skip
# Their output's type is an attribute that has nothing to do with an input.
_TYPED_BY_ATTRIBUTE = frozenset(
    (
        "Bernoulli", "BlackmanWindow", "EyeLike", "HammingWindow", "HannWindow", "MelWeightMatrix", "Multinomial",
        "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
    )
)  # fmt: skip

QDQ_OPS = ("QuantizeLinear", "DequantizeLinear")

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What stays in FP32. Node names may be patterns, such as `*/attention/*`."""

    ops: frozenset[str] = frozenset()
    nodes: tuple[str, ...] = ()

    def reason(self, node: NodeProto) -> str:
        if node.op_type in self.ops:
            return f"{node.op_type} is kept by type"
        if any(pattern == node.name or fnmatchcase(node.name, pattern) for pattern in self.nodes):
            return "kept by name"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatPlan:
    """Which nodes change.

    Attributes:
        to: ONNX element type.
        low: Names of the nodes that change, with the input and output positions whose type changes.
        kept: Nodes with FP32 tensors that stay, each with why.
    """

    to: int
    low: Mapping[str, tuple[frozenset[int], frozenset[int]]]
    kept: Mapping[str, str] = field(default_factory=dict)


def prepare_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in the form that `plan` and `convert` read: functions inlined, constants lifted, every node named."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    name_nodes(model)
    lift_constants(model)
    return model


def plan(model: onnx.ModelProto, to: int, *, keep: Keep | None = None, ranges: Mapping[str, Range] | None = None) -> FloatPlan:
    """Decides which nodes change.

    Args:
        model: As `prepare_graph` leaves it.
        to: ONNX element type, FLOAT16 or BFLOAT16.
        keep: What stays whatever its type.
        ranges: Least and largest value of each tensor, from calibration data; used for FP16, whose range is small.
    """
    view = GraphView(model)
    keep = keep or Keep()
    beyond = _beyond_range(ranges or {}) if to == TensorProto.FLOAT16 else {}
    low: dict[str, tuple[frozenset[int], frozenset[int]]] = {}
    kept: dict[str, str] = {}
    for node in model.graph.node:
        if not any(view.is_float(name) for name in [*node.input, *node.output, *captured(node)]):
            continue
        slots = _slots(node, view, to)
        reason = keep.reason(node) or _obstacle(node, view, slots) or _range_reason(node, view, beyond, to)
        if reason or slots is None:
            kept[node.name] = reason
        else:
            low[node.name] = slots
    _follow_neighbours(view, low, kept)
    return FloatPlan(to=to, low=low, kept=kept)


def nodes_for_fp32(model: onnx.ModelProto, *, keep: Keep | None = None, ranges: Mapping[str, Range] | None = None) -> list[str]:
    """The nodes that FP16 would harm or that are kept by wish, for graphs whose types cannot say so.

    Args:
        model: As `prepare_graph` leaves it.
        keep: What stays whatever its type.
        ranges: Least and largest value of each tensor, from calibration data.
    """
    view, keep, beyond = GraphView(model), keep or Keep(), _beyond_range(ranges or {})
    return [n.name for n in model.graph.node if keep.reason(n) or _range_reason(n, view, beyond, TensorProto.FLOAT16)]


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
    """One conversion of one graph."""

    def __init__(self, model: onnx.ModelProto, decided: FloatPlan, keep_io_types: bool) -> None:
        self.graph = model.graph
        self.view = GraphView(model)
        self.to = decided.to
        self.low = decided.low
        self.suffix = "_fp16" if decided.to == TensorProto.FLOAT16 else "_bf16"
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
        return _round_up(array, self.to) if is_scale else round_array(array, self.to)

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


def round_array(array: NDArray[np.generic], to: int) -> NDArray[np.generic]:
    """Values in the type, rounded to nearest even; finite values beyond FP16's range become its largest."""
    if to == TensorProto.FLOAT16:
        finite = np.isfinite(array)
        array = np.where(finite, np.clip(array, -LARGEST_FP16, LARGEST_FP16), array)
    return array.astype(NUMPY_TYPE[to])


def _round_up(array: NDArray[np.generic], to: int) -> NDArray[np.generic]:
    rounded = round_array(array, to)
    return np.where(
        rounded.astype(np.float32) < array.astype(np.float32), np.nextafter(rounded, NUMPY_TYPE[to].type(np.inf)), rounded
    )


def _slots(node: NodeProto, view: GraphView, to: int) -> tuple[frozenset[int], frozenset[int]] | None:
    """Positions of the FP32 inputs and outputs that may hold the type instead; None when there is no schema."""
    try:
        schema = onnx.defs.get_schema(node.op_type, view.opset, "")
    except onnx.defs.SchemaError:
        return None
    wanted = f"tensor({TensorProto.DataType.Name(to).lower()})"
    able = {c.type_param_str for c in schema.type_constraints if wanted in c.allowed_type_strs}

    def positions(names: list[str], formal: list[onnx.defs.OpSchema.FormalParameter]) -> frozenset[int]:
        return frozenset(
            i
            for i, name in enumerate(names)
            if name and view.is_float(name) and formal and formal[min(i, len(formal) - 1)].type_str in able
        )

    ins = positions(list(node.input), list(schema.inputs))
    if node.op_type == "Resize":
        ins &= {0}  # the region of interest may stay as it is, and the scales must
    return ins, positions(list(node.output), list(schema.outputs))


def _obstacle(node: NodeProto, view: GraphView, slots: tuple[frozenset[int], frozenset[int]] | None) -> str:
    if next(subgraphs(node), None) is not None:
        return "it holds a subgraph"
    if node.domain not in STANDARD_DOMAINS or slots is None:
        return f"{node.domain or 'ONNX'}.{node.op_type} has no schema here"
    if node.op_type in _TYPED_BY_ATTRIBUTE:
        return f"{node.op_type}'s type is an attribute"
    if any(name and name not in view.dtypes for name in [*node.input, *node.output]):
        return "the type of one of its tensors is unknown"
    ins, outs = slots
    floats = [i for i, name in enumerate(node.output) if name and view.is_float(name)]
    if (floats and not outs) or not (ins or outs):
        return f"{node.op_type} takes no such type at opset {view.opset}"
    return ""


def _beyond_range(ranges: Mapping[str, Range]) -> dict[str, str]:
    found = {}
    for name, (low, high) in ranges.items():
        largest = max(abs(low), abs(high))
        if np.isfinite(largest) and largest * HEADROOM > LARGEST_FP16:
            found[name] = f"{name} reaches {largest:.3g}, FP16 ends at {LARGEST_FP16:.0f}"
        elif 0 < largest < SMALLEST_FP16:
            found[name] = f"{name} stays below {largest:.3g}, which FP16 rounds to zero"
    return found


def _range_reason(node: NodeProto, view: GraphView, beyond: Mapping[str, str], to: int) -> str:
    for name in [*node.input, *node.output]:
        if name in beyond:
            return beyond[name]
        is_constant = to == TensorProto.FLOAT16 and name in view.constants and view.is_float(name)
        if is_constant and (reason := _constant_reason(name, view)):
            return reason
    return ""


def _constant_reason(name: str, view: GraphView) -> str:
    if all(node.op_type in QDQ_OPS for node in view.consumers.get(name, [])):
        return ""  # a scale, which is rounded up, or a weight with its own scale
    array = np.abs(view.array(name).astype(np.float32))
    finite = array[np.isfinite(array)]
    largest = float(finite.max(initial=0.0))
    if largest > LARGEST_FP16:
        return f"the constant {name} holds {largest:.3g}, FP16 ends at {LARGEST_FP16:.0f}"
    if 0 < largest < SMALLEST_FP16:
        return f"the constant {name} holds {largest:.3g}, which FP16 rounds to zero"
    return ""


def _follow_neighbours(view: GraphView, low: dict[str, tuple[frozenset[int], frozenset[int]]], kept: dict[str, str]) -> None:
    """Keeps data movers that have only FP32 around them in FP32: of all movers, those go that have a converted neighbour.

    What moves constants alone, such as an embedding's rows, is no mover: its constant can change.
    """
    movers = {
        node.name: node
        for node in view.model.graph.node
        if node.op_type in _MOVERS and node.name in low and any(node.input[i] not in view.constants for i in low[node.name][0])
    }

    def touches_converted(node: NodeProto) -> bool:
        ins, outs = low[node.name]
        makers = [view.producer[node.input[i]] for i in ins if node.input[i] in view.producer]
        readers = [reader for i in outs for reader in view.consumers.get(node.output[i], [])]
        return any(other.name in low and other.name not in movers for other in [*makers, *readers])

    while converted := [name for name, node in movers.items() if touches_converted(node)]:
        for name in converted:
            del movers[name]
    for name in movers:
        del low[name]
        kept[name] = "it lies between nodes kept in FP32"


def _retype(node: NodeProto, to: int) -> None:
    """Changes the attributes that say what type a node makes."""
    if node.op_type == "ConstantOfShape":
        value = next((numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"), np.zeros(1, np.float32))
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(round_array(value, to))))
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = to
