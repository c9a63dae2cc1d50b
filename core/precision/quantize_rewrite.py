"""INT8 and FP8 by Q/DQ nodes: writes those that were planned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from core.base.precision import Precision
from core.precision.calibration.ranges import Ranges
from core.precision.element_types import GRIDS, Grid, to_grid
from core.precision.quantize_plan import QuantizePlan, Weight
from core.precision.view import GraphView

# A channel of zeros still needs a positive scale.
_ZERO_CHANNEL_SCALE = 1.0


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
    _Insert(
        graph=model.graph,
        view=GraphView(model),
        decided=decided,
        ranges=ranges,
        grid=GRIDS[precision],
        percentile=percentile,
        stored=stored,
        unsigned=unsigned and precision is Precision.INT8,
    ).run()
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class _Insert:
    graph: onnx.GraphProto
    view: GraphView
    decided: QuantizePlan
    ranges: Ranges
    grid: Grid
    percentile: float | None
    stored: bool
    unsigned: bool

    def run(self) -> None:
        pairs: dict[str, list[NodeProto]] = {}  # tensor -> its Q/DQ nodes
        by_name = {node.name: node for node in self.graph.node}
        weights = {(weight.tensor, weight.axis): weight for weight in self.decided.weights.values()}
        front = [node for weight in weights.values() for node in self._weight(weight)]
        for name, weight in self.decided.weights.items():
            by_name[name].input[weight.position] = self._weight_name(weight) + "_dq"
        for tensor, readers in self.decided.activations.items():
            pairs[tensor] = self._activation(tensor)
            for name, position in readers:
                by_name[name].input[position] = f"{tensor}_dq"
        ordered = front + [node for name in self.view.inputs for node in pairs.get(name, [])]
        for node in self.graph.node:
            ordered.append(node)
            ordered += [pair for name in node.output for pair in pairs.get(name, [])]
        copies = [NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del self.graph.node[:]
        self.graph.node.extend(copies)
        self._drop_unused()

    def _axes(self, weight: Weight) -> set[int | None]:
        return {other.axis for other in self.decided.weights.values() if other.tensor == weight.tensor}

    def _weight_name(self, weight: Weight) -> str:
        return f"{weight.tensor}_axis{weight.axis}" if len(self._axes(weight)) > 1 else weight.tensor

    def _weight(self, weight: Weight) -> list[NodeProto]:
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
