"""INT8 and FP8 by Q/DQ nodes, placed as TensorRT fuses them.

The inputs of weighted ops are quantized, weights per output channel, activations per tensor and symmetric, so every zero
point is 0. Nothing is quantized between a convolution and its BatchNorm or activation, no bias is, and of an Add that
ends a residual block only the shortcut is. Behind depthwise convolutions their outputs are too. A tensor has one Q/DQ pair,
which all its quantized readers share.

Source: https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from core.base.precision import Precision
from core.onnxio.walk import STANDARD_DOMAINS
from core.precision.depthwise import Readers, is_depthwise, quantized_behind
from core.precision.float16 import Keep
from core.precision.ranges import Ranges
from core.precision.target import QuantizedOutputs
from core.precision.view import GraphView, attribute

WEIGHTED_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Nodes that may lie between a convolution and the Add that it fuses with.
_THROUGH = ("BatchNormalization",)
# A channel of zeros still needs a positive scale.
_ZERO_CHANNEL_SCALE = 1.0
# TensorRT has FP8 convolutions for these alone, as ModelOpt's own exclusions tell; depthwise ones are none of them.
FP8_MIN_CHANNELS = 16
FP8_MAX_FILTER = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A quantized type: its largest value and how ONNX and NumPy name it."""

    element_type: int
    largest: float
    numpy: np.dtype[np.generic]


GRIDS = {
    Precision.INT8: Grid(element_type=TensorProto.INT8, largest=127.0, numpy=np.dtype(np.int8)),
    Precision.FP8: Grid(element_type=TensorProto.FLOAT8E4M3FN, largest=448.0, numpy=np.dtype(ml_dtypes.float8_e4m3fn)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A weighted node's constant operand; `axis` is the output channel's, None for one scale in all."""

    tensor: str
    position: int
    axis: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizePlan:
    """What gets Q/DQ.

    Attributes:
        weights: By the node that reads them.
        activations: Tensor to the (node, input position) pairs that read its quantized version.
        kept: Weighted nodes that stay, each with why.
    """

    weights: Mapping[str, Weight]
    activations: Mapping[str, tuple[tuple[str, int], ...]]
    kept: Mapping[str, str] = field(default_factory=dict)


def plan(
    model: onnx.ModelProto,
    *,
    keep: Keep | None = None,
    precision: Precision = Precision.INT8,
    outputs: QuantizedOutputs = QuantizedOutputs.NONE,
) -> QuantizePlan:
    """Chooses the tensors to quantize in a simplified model.

    Args:
        model: With constants folded and BatchNorm merged, as `core.onnxio.simplify` leaves it.
        keep: Nodes that stay FP32.
        precision: INT8 or FP8; what FP8 quantizes is among what INT8 does.
        outputs: The convolutions whose outputs are quantized too; with all of them, so are both inputs of residual Adds.
    """
    view = GraphView(model)
    keep = keep or Keep()
    weights: dict[str, Weight] = {}
    readers: Readers = {}
    kept: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type not in WEIGHTED_OPS or node.domain not in STANDARD_DOMAINS:
            continue
        found = _weight(node, view)
        reason = keep.reason(node) or _obstacle(node, found, view, precision)
        if reason or found is None:
            kept[node.name] = reason
            continue
        weights[node.name] = found
        position = 1 - found.position
        readers.setdefault(node.input[position], []).append((node.name, position))
    for node in model.graph.node:
        if node.op_type != "Add" or keep.reason(node) or (found_block := _residual(node, view)) is None:
            continue
        shortcut, convolution = found_block
        if convolution in weights:
            readers.setdefault(node.input[shortcut], []).append((node.name, shortcut))
    left = {node.name for node in model.graph.node if keep.reason(node) or node.name in kept}
    for node in (node for node in model.graph.node if node.name in weights):
        for tensor, pairs in _quantized_behind(node, outputs, view).items():
            known = readers.setdefault(tensor, [])
            known += [pair for pair in pairs if pair not in known and pair[0] not in left]
    return QuantizePlan(weights=weights, activations={name: tuple(found) for name, found in readers.items() if found}, kept=kept)


def quantize(
    model: onnx.ModelProto,
    decided: QuantizePlan,
    ranges: Ranges,
    precision: Precision,
    *,
    percentile: float | None = None,
    stored: bool = False,
    unsigned: bool = False,
) -> onnx.ModelProto:
    """Inserts the planned Q/DQ nodes, in place, and returns the model.

    Args:
        model: The model the plan was made for.
        decided: What to quantize.
        ranges: Of every activation in the plan.
        precision: INT8 or FP8.
        percentile: Of the activations' magnitudes that the grid reaches to; None for the largest.
        stored: Store weights quantized, with DQ alone. Smaller, but TensorRT before 10 wants FP32 weights behind Q and DQ.
        unsigned: Give activations UINT8 from their least to their largest value. ONNX Runtime then drops a ReLU, which is the
            grid's lower end, and computes a convolution in INT8 only when its input and output have one type.
    """
    inserted = _Insert(model, decided, GRIDS[precision], ranges=ranges, percentile=percentile, stored=stored)
    inserted.unsigned = unsigned and precision is Precision.INT8
    inserted.run()
    return model


class _Insert:
    def __init__(
        self, model: onnx.ModelProto, decided: QuantizePlan, grid: Grid, *, ranges: Ranges, percentile: float | None, stored: bool
    ) -> None:
        self.graph = model.graph
        self.view = GraphView(model)
        self.decided = decided
        self.ranges = ranges
        self.grid = grid
        self.percentile = percentile
        self.stored = stored
        self.unsigned = False
        self.pairs: dict[str, list[NodeProto]] = {}  # tensor -> its Q/DQ nodes

    def run(self) -> None:
        by_name = {node.name: node for node in self.graph.node}
        weights = {(weight.tensor, weight.axis): weight for weight in self.decided.weights.values()}
        front = [node for weight in weights.values() for node in self._weight(weight, several=len(self._axes(weight)) > 1)]
        for name, weight in self.decided.weights.items():
            by_name[name].input[weight.position] = self._weight_name(weight) + "_dq"
        for tensor, readers in self.decided.activations.items():
            self.pairs[tensor] = self._activation(tensor)
            for name, position in readers:
                by_name[name].input[position] = f"{tensor}_dq"
        ordered = front + [node for name in self.view.inputs for node in self.pairs.get(name, [])]
        for node in self.graph.node:
            ordered.append(node)
            ordered += [pair for name in node.output for pair in self.pairs.get(name, [])]
        copies = [NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del self.graph.node[:]
        self.graph.node.extend(copies)
        self._drop_unused()

    def _axes(self, weight: Weight) -> set[int | None]:
        return {other.axis for other in self.decided.weights.values() if other.tensor == weight.tensor}

    def _weight_name(self, weight: Weight) -> str:
        return f"{weight.tensor}_axis{weight.axis}" if len(self._axes(weight)) > 1 else weight.tensor

    def _weight(self, weight: Weight, *, several: bool) -> list[NodeProto]:
        array = self.view.array(weight.tensor).astype(np.float32)
        others = tuple(i for i in range(array.ndim) if i != weight.axis)
        magnitude = np.abs(array).max(axis=others if weight.axis is not None else None)
        scale = np.where(magnitude > 0, magnitude / self.grid.largest, _ZERO_CHANNEL_SCALE).astype(np.float32)
        name = self._weight_name(weight)
        if not self.stored:
            return self._pair(name, scale, weight.axis, source=weight.tensor)
        shape = [-1 if i == weight.axis else 1 for i in range(array.ndim)]
        self._constant(f"{name}_q", to_grid(array / scale.reshape(shape if weight.axis is not None else ()), self.grid))
        self._scale(name, scale)
        return [self._node("DequantizeLinear", f"{name}_q", f"{name}_dq", name, weight.axis)]

    def _activation(self, tensor: str) -> list[NodeProto]:
        magnitude = self.ranges.magnitude(tensor, self.percentile)
        if not self.unsigned:
            scale = magnitude / self.grid.largest if magnitude > 0 else _ZERO_CHANNEL_SCALE
            return self._pair(tensor, np.array(scale, np.float32), None)
        seen = self.ranges.tensors[tensor]
        low, high = min(0.0, max(seen.low, -magnitude)), max(0.0, min(seen.high, magnitude))
        scale = (high - low) / 255 if high > low else _ZERO_CHANNEL_SCALE
        zero_point = np.array(round(-low / scale), np.uint8)
        return self._pair(tensor, np.array(scale, np.float32), None, zero_point=zero_point)

    def _pair(
        self,
        name: str,
        scale: NDArray[np.float32],
        axis: int | None,
        *,
        source: str | None = None,
        zero_point: NDArray[np.generic] | None = None,
    ) -> list[NodeProto]:
        self._scale(name, scale, zero_point)
        return [
            self._node("QuantizeLinear", source or name, f"{name}_q", name, axis),
            self._node("DequantizeLinear", f"{name}_q", f"{name}_dq", name, axis),
        ]

    def _node(self, op: str, source: str, target: str, name: str, axis: int | None) -> NodeProto:
        inputs = [source, f"{name}_scale", f"{name}_zero_point"]
        node = helper.make_node(op, inputs, [target], name=f"{name}_{op}")
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        return node

    def _scale(self, name: str, scale: NDArray[np.float32], zero_point: NDArray[np.generic] | None = None) -> None:
        self._constant(f"{name}_scale", scale)
        self._constant(f"{name}_zero_point", np.zeros(scale.shape, self.grid.numpy) if zero_point is None else zero_point)

    def _constant(self, name: str, array: NDArray[np.generic]) -> None:
        self.graph.initializer.append(numpy_helper.from_array(array, name))

    def _drop_unused(self) -> None:
        """Takes away the FP32 weights that nothing reads any more."""
        used = {name for node in self.graph.node for name in node.input} | set(self.view.outputs)
        weights = {weight.tensor for weight in self.decided.weights.values()}
        for tensor in [t for t in self.graph.initializer if t.name in weights and t.name not in used]:
            self.graph.initializer.remove(tensor)


def to_grid(array: NDArray[np.float32], grid: Grid) -> NDArray[np.generic]:
    """Values already divided by their scale, rounded to the grid's nearest; beyond its ends they saturate."""
    if grid.element_type == TensorProto.INT8:
        return np.clip(np.rint(array), -127, 127).astype(np.int8)
    return np.clip(array, -grid.largest, grid.largest).astype(grid.numpy)


def _weight(node: NodeProto, view: GraphView) -> Weight | None:
    """The constant FP32 operand of a weighted node whose other operand is a tensor."""
    constant = [i for i in (0, 1) if node.input[i] in view.constants and view.is_float(node.input[i])]
    if len(constant) != 1 or (node.op_type != "MatMul" and constant != [1]) or not view.is_float(node.input[1 - constant[0]]):
        return None
    position = constant[0]
    return Weight(
        tensor=node.input[position], position=position, axis=channel_axis(node, position, len(view.shape(node.input[position])))
    )


def _quantized_behind(node: NodeProto, outputs: QuantizedOutputs, view: GraphView) -> Readers:
    """The tensors behind a quantized node with the (node, input position) pairs that must read them quantized."""
    if outputs is QuantizedOutputs.ALL and node.op_type in ("Conv", "ConvTranspose"):
        made = _clipped(node.output[0], view)
        return {made: view.reads(made)}
    if outputs is QuantizedOutputs.DEPTHWISE and is_depthwise(node, view):
        return quantized_behind(node, view)
    return {}


def _clipped(tensor: str, view: GraphView) -> str:
    """A convolution's output behind what the Q that follows can clip."""
    while (reader := view.only_consumer(tensor)) is not None and reader.op_type in ("Relu", "Clip", *_THROUGH):
        tensor = str(reader.output[0])
    return tensor


def _obstacle(node: NodeProto, weight: Weight | None, view: GraphView, precision: Precision) -> str:
    if weight is None:
        return "neither operand is a constant"
    shape = view.shape(weight.tensor)
    small = min(shape[:2], default=0) < FP8_MIN_CHANNELS or np.prod(shape[2:]) > FP8_MAX_FILTER
    if precision is Precision.FP8 and node.op_type in ("Conv", "ConvTranspose") and small:
        return f"FP8 convolutions have {FP8_MIN_CHANNELS} channels and more, and filters of at most {FP8_MAX_FILTER}"
    return ""


def channel_axis(node: NodeProto, position: int, rank: int) -> int | None:
    """The output channels' axis of a weight of that rank; None where TensorRT takes only one scale for it."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1 if attribute(node, "group", 1) == 1 else None
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB") else 1
    return 1 if position == 1 and rank == 2 else None


def _residual(node: NodeProto, view: GraphView) -> tuple[int, str] | None:
    """Of an Add that ends a residual block: its shortcut's position, and the convolution that it can fuse with."""
    if any(name in view.constants or not view.is_float(name) for name in node.input) or node.input[0] == node.input[1]:
        return None
    convolutions = [_fusible_convolution(name, view) for name in node.input]
    main = [i for i in (0, 1) if convolutions[i]]
    if not main:
        return None
    shortcut = 1 - main[0] if len(main) == 1 else min((0, 1), key=lambda i: _depth(node.input[i], view))
    return shortcut, convolutions[1 - shortcut]


def _fusible_convolution(tensor: str, view: GraphView) -> str:
    """Name of the weighted convolution that a tensor comes from, when only one node reads it and so can fuse with it."""
    while (maker := view.producer.get(tensor)) is not None and view.only_consumer(tensor) is not None:
        if maker.op_type in ("Conv", "ConvTranspose"):
            return str(maker.name)
        if maker.op_type not in _THROUGH:
            break
        tensor = maker.input[0]
    return ""


def _depth(tensor: str, view: GraphView) -> int:
    """The most weighted ops on a way from the model's inputs to a tensor."""
    known: dict[str, int] = {}
    stack = [tensor]
    while stack:
        name = stack[-1]
        maker = view.producer.get(name)
        open_inputs = [i for i in maker.input if i and i not in known and i not in view.constants] if maker else []
        if open_inputs:
            stack += open_inputs
            continue
        own = maker is not None and maker.op_type in WEIGHTED_OPS
        known[name] = int(own) + max((known.get(i, 0) for i in maker.input), default=0) if maker else 0
        stack.pop()
    return known[tensor]
