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

import numpy as np
import onnx
from onnx import NodeProto

from core.base.precision import Precision
from core.onnxio.walk import STANDARD_DOMAINS
from core.precision.depthwise import Readers, is_depthwise, quantized_behind
from core.precision.placement import LeftOut
from core.precision.settings import DEFAULTS, PrecisionSettings
from core.precision.target import QuantizedOutputs
from core.precision.view import GraphView, attribute

WEIGHTED_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Nodes that may lie between a convolution and the Add that it fuses with.
_THROUGH = ("BatchNormalization",)
# TensorRT has FP8 convolutions for these alone, as ModelOpt's own exclusions tell; depthwise ones are none of them.
FP8_MIN_CHANNELS = 16
FP8_MAX_FILTER = 32


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
    settings: PrecisionSettings = DEFAULTS,
    *,
    precision: Precision = Precision.INT8,
    outputs: QuantizedOutputs = QuantizedOutputs.NONE,
) -> QuantizePlan:
    """Chooses the tensors to quantize in a simplified model.

    Args:
        model: With constants folded and BatchNorm merged, as `core.onnxio.simplify` leaves it.
        settings: Say which nodes stay FP32, and where Q and DQ go other than by the rules.
        precision: INT8 or FP8; what FP8 quantizes is among what INT8 does.
        outputs: The convolutions whose outputs are quantized too; with all of them, so are both inputs of residual Adds.
    """
    view = GraphView(model)
    wished = {node.name: settings.why_kept(node.op_type, node.name) for node in model.graph.node}
    weights: dict[str, Weight] = {}
    readers: Readers = {}
    kept: dict[str, str] = {}
    left_out = LeftOut(model, view, settings)
    for node in model.graph.node:
        if node.op_type not in WEIGHTED_OPS or node.domain not in STANDARD_DOMAINS:
            continue
        found = _weight(node, view)
        reason = wished[node.name] or _obstacle(node, found, view, precision)
        if found is not None and not reason:
            reason = left_out.why(node, found.tensor)
        if reason or found is None:
            kept[node.name] = reason
            continue
        weights[node.name] = found
        position = 1 - found.position
        readers.setdefault(node.input[position], []).append((node.name, position))
    for node in model.graph.node:
        if node.op_type != "Add" or wished[node.name] or (found_block := _residual(node, view)) is None:
            continue
        shortcut, convolution = found_block
        if convolution in weights:
            readers.setdefault(node.input[shortcut], []).append((node.name, shortcut))
    left = {node.name for node in model.graph.node if wished[node.name] or node.name in kept}
    for node in (node for node in model.graph.node if node.name in weights):
        for tensor, pairs in _quantized_behind(node, outputs, view).items():
            known = readers.setdefault(tensor, [])
            known += [pair for pair in pairs if pair not in known and pair[0] not in left]
    return QuantizePlan(weights=weights, activations={name: tuple(found) for name, found in readers.items() if found}, kept=kept)


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
