"""Checks where a graph's Q/DQ nodes lie against what TensorRT can fuse, and names every violation."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto

from core.precision.depthwise import ACTIVATIONS
from core.precision.element_types import GRIDS
from core.precision.quantize_plan import WEIGHTED_OPS, channel_axis
from core.precision.record import Rule, Violation
from core.precision.view import QDQ_OPS, GraphView, attribute

_QUANTIZED_TYPES = tuple(grid.element_type for grid in GRIDS.values())
# Of what TensorRT fuses into a convolution, ONNX Runtime fuses what the Q behind it can clip.
_CLIPPING = ("Relu", "Clip")
# What TensorRT alone asks for: ONNX Runtime wants UINT8 activations, and both inputs of an Add quantized.
_TENSORRT_ONLY = frozenset({Rule.SIGNED, Rule.ZERO_POINT, Rule.ADD, Rule.SHORTCUT})


def check_placement(model: onnx.ModelProto, *, stored_weights: bool = True, tensorrt: bool = True) -> tuple[Violation, ...]:
    """Every violation in a graph with Q/DQ nodes, in the graph's order.

    Args:
        model: Its nodes must be named, as `core.onnxio.walk.name_nodes` does.
        stored_weights: Whether the target takes weights that are stored quantized; TensorRT before 10 does not.
        tensorrt: Whether the rules that only TensorRT has hold too.
    """
    found = _Audit(GraphView(model), stored_weights, ACTIVATIONS if tensorrt else _CLIPPING).run()
    return tuple(one for one in found if tensorrt or one.rule not in _TENSORRT_ONLY)


class _Audit:
    def __init__(self, view: GraphView, stored_weights: bool, fused: tuple[str, ...]) -> None:
        self.view = view
        self.stored_weights = stored_weights
        self.fused = fused
        self.found: list[Violation] = []

    def run(self) -> list[Violation]:
        for node in self.view.model.graph.node:
            if node.op_type in QDQ_OPS:
                self._parameters(node)
            if node.op_type == "QuantizeLinear":
                self._fusion(node)
            elif node.op_type in WEIGHTED_OPS:
                self._weighted(node)
            elif node.op_type == "Add":
                self._add(node)
        return self.found

    def _report(self, rule: Rule, node: NodeProto, message: str) -> None:
        self.found.append(Violation(rule=rule, node=node.name, message=message))

    def _dequantizer(self, tensor: str) -> NodeProto | None:
        """The DQ node that makes a tensor, looking through casts and pooling, past which it may be moved."""
        maker = self.view.producer.get(tensor)
        while maker is not None and maker.op_type in ("Cast", "MaxPool"):
            maker = self.view.producer.get(maker.input[0])
        return maker if maker is not None and maker.op_type == "DequantizeLinear" else None

    def _is_constant(self, dequantizer: NodeProto) -> bool:
        """Whether what a DQ makes is a constant: stored quantized, or quantized from a constant."""
        source = dequantizer.input[0]
        maker = self.view.producer.get(source)
        return source in self.view.constants or (maker is not None and maker.input[0] in self.view.constants)

    def _parameters(self, node: NodeProto) -> None:
        quantized = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
        kind = self.view.dtypes.get(quantized, TensorProto.UNDEFINED)
        is_bias = kind == TensorProto.INT32  # reported where it is used
        if kind not in (*_QUANTIZED_TYPES, TensorProto.UNDEFINED) and not is_bias:
            self._report(Rule.SIGNED, node, f"{node.name} has {TensorProto.DataType.Name(kind)}; TensorRT takes INT8 and FP8.")
        if len(node.input) > 2 and node.input[2]:
            if node.input[2] not in self.view.constants:
                self._report(Rule.ZERO_POINT, node, f"{node.name} computes its zero point; it must be a constant 0.")
            elif np.any(self.view.array(node.input[2]).astype(np.float32) != 0):
                self._report(Rule.ZERO_POINT, node, f"{node.name} has a zero point other than 0; quantize symmetrically.")
        if node.input[1] not in self.view.constants:
            self._report(Rule.CONSTANT_SCALE, node, f"{node.name} computes its scale; it must be a constant.")
        elif not np.all(np.isfinite(scale := self.view.array(node.input[1]).astype(np.float32)) & (scale > 0)):
            self._report(Rule.CONSTANT_SCALE, node, f"{node.name} has a scale that is not positive and finite.")

    def _fusion(self, node: NodeProto) -> None:
        """A Q behind a convolution whose dequantized values go on to BatchNorm or an activation splits what would fuse."""
        maker = self.view.producer.get(node.input[0])
        if maker is None or maker.op_type not in ("Conv", "ConvTranspose", "BatchNormalization"):
            return
        for dequantizer in self.view.consumers.get(node.output[0], []):
            for reader in self.view.consumers.get(dequantizer.output[0], []):
                if reader.op_type in (*self.fused, "BatchNormalization"):
                    text = f"{node.name} lies between {maker.name} and {reader.name}; quantize {reader.name}'s output instead."
                    self._report(Rule.FUSION, node, text)

    def _add(self, node: NodeProto) -> None:
        dequantized = [self._dequantizer(name) for name in node.input]
        if all(dequantized):
            if not any(self._is_constant(found) for found in dequantized if found):
                text = f"{node.name} reads two quantized tensors; leave one as it is, so that the op that makes it fuses."
                self._report(Rule.ADD, node, text)
            return
        for found, other in zip(dequantized, reversed(node.input), strict=True):
            if found is not None and self._fusible(self._before(found)) and not self._fusible(other):
                text = f"{node.name} reads a quantized convolution output and a plain shortcut; quantize the shortcut instead."
                self._report(Rule.SHORTCUT, node, text)

    def _before(self, dequantizer: NodeProto) -> str:
        quantizer = self.view.producer.get(dequantizer.input[0])
        return str(quantizer.input[0] if quantizer is not None else dequantizer.input[0])

    def _fusible(self, tensor: str) -> bool:
        """Whether one node alone reads a convolution's output."""
        maker = self.view.producer.get(tensor)
        while maker is not None and maker.op_type == "BatchNormalization":
            tensor = maker.input[0]
            maker = self.view.producer.get(tensor)
        return maker is not None and maker.op_type in ("Conv", "ConvTranspose") and self.view.only_consumer(tensor) is not None

    def _weighted(self, node: NodeProto) -> None:
        operands = [self._dequantizer(name) for name in node.input[:2]]
        if any(operands) and not all(operands):
            bare = node.input[operands.index(None)]
            self._report(Rule.BOTH_OPERANDS, node, f"{node.name} has one quantized operand; {bare} is not quantized.")
        for position, found in enumerate(operands):
            if found is not None:
                (self._weight if self._is_constant(found) else self._activation)(node, position, found)
        if len(node.input) > 2 and node.input[2] and self._dequantizer(node.input[2]) is not None:
            self._report(Rule.BIAS, node, f"{node.name} has a quantized bias, which TensorRT's parser refuses; keep it in FP32.")

    def _weight(self, node: NodeProto, position: int, dequantizer: NodeProto) -> None:
        source = dequantizer.input[0]
        if source in self.view.constants and not self.stored_weights:
            text = f"{node.name}'s weights are stored quantized; this TensorRT wants FP32 weights behind Q and DQ."
            self._report(Rule.STORED_WEIGHTS, node, text)
        tensor = source if source in self.view.constants else self.view.producer[source].input[0]
        shape = self.view.shape(tensor)
        scales = self._scale_count(dequantizer)
        expected = channel_axis(node, position, len(shape))
        if expected is None or scales is None:
            return
        axis = attribute(dequantizer, "axis", 1) % len(shape)
        if scales == 1 and shape[expected] > 1:
            text = f"{node.name}'s weights have one scale for all {shape[expected]} output channels."
            self._report(Rule.CHANNEL_AXIS, node, text)
        elif scales > 1 and axis != expected:
            text = f"{node.name}'s weights are scaled along axis {axis}; its output channels are axis {expected}."
            self._report(Rule.CHANNEL_AXIS, node, text)

    def _activation(self, node: NodeProto, position: int, dequantizer: NodeProto) -> None:
        if (scales := self._scale_count(dequantizer)) is not None and scales > 1:
            text = f"{node.name}'s input {node.input[position]} has {scales} scales; activations take one."
            self._report(Rule.ACTIVATION_SCALE, node, text)

    def _scale_count(self, dequantizer: NodeProto) -> int | None:
        scale = dequantizer.input[1]
        return int(np.prod(self.view.shape(scale), dtype=np.int64)) if scale in self.view.constants else None
