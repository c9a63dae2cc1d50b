"""Takes the scales of a convolution's channels out of its weights' DQ, and multiplies by them behind the convolution.

TensorRT-RTX applies the scales of single channels after a convolution in INT8 or FP8, and leaves its output in FP32 for that;
with one scale for all of the weights it applies that one inside, and writes FP16. So the channels' own scales, divided by the one
for all, go into a multiplication behind the convolution, before its bias. The weights are rounded with the channels' scales as
ever, and what that gives is then stretched to the one scale, which loses nothing. Seen with 1.7.1
(docs/measurements/placements.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from core.base.precision import Precision
from core.onnxio.walk import captured
from core.precision.calibration.ranges import Ranges
from core.precision.element_types import GRIDS, LARGEST_FP16, Grid, to_grid
from core.precision.float_plan import HEADROOM, SMALLEST_FP16
from core.precision.quantize_plan import QuantizePlan, Weight
from core.precision.view import GraphView

# Below it FP16 has fewer digits, which a scale needs.
_SMALLEST_SCALE = float(np.finfo(np.float16).tiny)


def move_scales_behind(
    model: onnx.ModelProto, decided: QuantizePlan, ranges: Ranges, precision: Precision, percentile: float | None = None
) -> tuple[QuantizePlan, frozenset[str]]:
    """Rewrites the convolutions of a plan for INT8 or FP8, in place, before its Q and DQ are written.

    A convolution keeps a scale for each channel where its output, not yet multiplied, could leave FP16's range.

    Returns:
        The plan with one scale for all of those weights, and the names of the convolutions that were rewritten.
    """
    view, grid = GraphView(model), GRIDS[precision]
    weights: dict[str, Weight] = dict(decided.weights)
    behind: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        weight = decided.weights.get(node.name)
        if weight is None or weight.axis != 0 or node.op_type != "Conv" or not _has_constant_bias(node, view):
            continue
        array = view.array(weight.tensor).astype(np.float32)
        scales = (np.abs(array).reshape(len(array), -1).max(axis=1) / grid.largest).astype(np.float32)
        steps = _steps(array, scales, grid)
        shared = _shared_scale(steps, scales, ranges.magnitude(node.input[1 - weight.position], percentile))
        if shared is not None:
            weights[node.name] = replace(weight, tensor=f"{node.name}_steps", axis=None)
            behind[node.name] = _rewritten(model, view, node, weight.position, steps, scales, shared)
    nodes = [made for node in model.graph.node for made in (node, *behind.get(node.name, ()))]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    _drop_unread(model, view)
    return replace(decided, weights=weights), frozenset(behind)


def _has_constant_bias(node: NodeProto, view: GraphView) -> bool:
    return len(node.input) < 3 or not node.input[2] or node.input[2] in view.constants


def _along(values: NDArray[np.float32], rank: int, axis: int) -> NDArray[np.float32]:
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def _steps(array: NDArray[np.float32], scales: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """The weights as the grid's own values, each by its channel's scale."""
    found = np.zeros_like(array)
    np.divide(array, _along(scales, array.ndim, 0), out=found, where=array != 0)
    return to_grid(found, grid).astype(np.float32)


def _shared_scale(steps: NDArray[np.float32], scales: NDArray[np.float32], input_magnitude: float) -> float | None:
    """The scale for all weights, which FP16 holds exactly: the largest channel's, or less where FP16's range ends before.

    What the convolution then makes is at most its input's magnitude, times a channel's steps, times that scale.
    """
    most = input_magnitude * float(np.abs(steps).reshape(len(steps), -1).sum(axis=1).max())
    if not most:
        return None
    wanted = max(float(scales.max()), _SMALLEST_SCALE)
    shared = float(np.float16(min(wanted, LARGEST_FP16 / HEADROOM / most)))
    return shared if shared >= _SMALLEST_SCALE else None


def _rewritten(
    model: onnx.ModelProto,
    view: GraphView,
    node: NodeProto,
    position: int,
    steps: NDArray[np.float32],
    scales: NDArray[np.float32],
    shared: float,
) -> list[NodeProto]:
    """Gives a convolution the stretched weights; returns the nodes behind it, which multiply and add its bias."""
    factors = scales / np.float32(shared)
    factors[factors < SMALLEST_FP16] = 0.0  # FP16 has nothing smaller: such a channel's weights are as good as zero
    made, raw, scaled = node.output[0], f"{node.name}_unscaled", f"{node.name}_scaled"
    bias = node.input[2] if len(node.input) > 2 else ""
    by = _constant(model, f"{node.name}_scales", _along(factors, steps.ndim, 1))
    behind = [helper.make_node("Mul", [raw, by], [scaled if bias else made], name=f"{node.name}_by_scales")]
    if bias:
        plus = _constant(model, f"{node.name}_bias", _along(view.array(bias).astype(np.float32), steps.ndim, 1))
        behind.append(helper.make_node("Add", [scaled, plus], [made], name=f"{node.name}_plus_bias"))
    del node.input[2:]
    node.input[position] = _constant(model, f"{node.name}_steps", steps * np.float32(shared))
    node.output[0] = raw
    return behind


def _constant(model: onnx.ModelProto, name: str, array: NDArray[np.float32]) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
    return name


def _drop_unread(model: onnx.ModelProto, before: GraphView) -> None:
    """Takes away the constants that had readers and have none any more."""
    read = {name for node in model.graph.node for name in (*node.input, *captured(node))} | set(before.outputs)
    for tensor in [one for one in model.graph.initializer if one.name in before.consumers and one.name not in read]:
        model.graph.initializer.remove(tensor)
