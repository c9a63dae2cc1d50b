"""Which weighted nodes a `Placement` leaves as they are."""

from __future__ import annotations

import math

import onnx
from onnx import NodeProto

from core.precision.depthwise import is_depthwise
from core.precision.settings import Placement, PrecisionSettings
from core.precision.view import GraphView, without_weights


class LeftOut:
    """Which weighted nodes of one model are left as they are."""

    def __init__(self, model: onnx.ModelProto, view: GraphView, settings: PrecisionSettings) -> None:
        self.view = view
        self.placement = settings.placement
        self.elements = _elements(model) if Placement.HEAVY_ONLY in self.placement else {}

    def why(self, node: NodeProto, weight: str) -> str:
        """Why a node that reads that weight is left out, "" for one that is not."""
        if Placement.FLOAT_DEPTHWISE in self.placement and is_depthwise(node, self.view):
            return "depthwise convolutions are left as they are"
        if Placement.HEAVY_ONLY in self.placement:
            moved = [self.elements.get(name) for name in (*node.input[:2], node.output[0]) if name != weight]
            held = math.prod(self.view.shape(weight))
            if None not in moved and sum(count or 0 for count in moved) > held:
                return "it has more activations than weights"
        return ""


def _elements(model: onnx.ModelProto) -> dict[str, int]:
    """How many elements each tensor has whose shape is known; a length that has a name counts as 1."""
    inferred = onnx.shape_inference.infer_shapes(without_weights(model)).graph
    found: dict[str, int] = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        if not value.type.tensor_type.HasField("shape"):
            continue
        axes = value.type.tensor_type.shape.dim
        if all(axis.HasField("dim_value") or axis.dim_param for axis in axes):
            found[value.name] = math.prod(axis.dim_value if axis.HasField("dim_value") else 1 for axis in axes)
    return found
