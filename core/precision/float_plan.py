"""FP16 and BF16 as types in the ONNX graph: which nodes can change.

What a node's slots may hold is read from ONNX's own operator schemas, so a graph that was valid stays valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import NodeProto, TensorProto

from core.onnxio.walk import STANDARD_DOMAINS, captured, subgraphs
from core.precision.element_types import LARGEST_FP16
from core.precision.settings import DEFAULTS, PrecisionSettings
from core.precision.view import QDQ_OPS, GraphView

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

Range = tuple[float, float]
Slots = tuple[frozenset[int], frozenset[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatPlan:
    """Which nodes change.

    Attributes:
        to: ONNX element type.
        low: Names of the nodes that change, with the input and output positions whose type changes.
        kept: Nodes with FP32 tensors that stay, each with why.
    """

    to: int
    low: Mapping[str, Slots]
    kept: Mapping[str, str] = field(default_factory=dict)


def plan(
    model: onnx.ModelProto, to: int, settings: PrecisionSettings = DEFAULTS, *, ranges: Mapping[str, Range] | None = None
) -> FloatPlan:
    """Decides which nodes change.

    Args:
        model: As `core.precision.load.prepare_graph` leaves it.
        to: ONNX element type, FLOAT16 or BFLOAT16.
        settings: Say what stays whatever its type.
        ranges: Least and largest value of each tensor, from calibration data; used for FP16, whose range is small.
    """
    view = GraphView(model)
    beyond = _beyond_range(ranges or {}) if to == TensorProto.FLOAT16 else {}
    low: dict[str, Slots] = {}
    kept: dict[str, str] = {}
    for node in model.graph.node:
        if not any(view.is_float(name) for name in [*node.input, *node.output, *captured(node)]):
            continue
        slots = _slots(node, view, to)
        reason = (
            settings.why_kept(node.op_type, node.name) or _obstacle(node, view, slots) or _range_reason(node, view, beyond, to)
        )
        if reason or slots is None:
            kept[node.name] = reason
        else:
            low[node.name] = slots
    _follow_neighbours(view, low, kept)
    return FloatPlan(to=to, low=low, kept=kept)


def nodes_for_fp32(
    model: onnx.ModelProto, settings: PrecisionSettings = DEFAULTS, *, ranges: Mapping[str, Range] | None = None
) -> list[str]:
    """The nodes that FP16 would harm or that are kept by wish, for graphs whose types cannot say so.

    Args:
        model: As `core.precision.load.prepare_graph` leaves it.
        settings: Say what stays whatever its type.
        ranges: Least and largest value of each tensor, from calibration data.
    """
    view, beyond = GraphView(model), _beyond_range(ranges or {})
    return [
        node.name
        for node in model.graph.node
        if settings.why_kept(node.op_type, node.name) or _range_reason(node, view, beyond, TensorProto.FLOAT16)
    ]


def _slots(node: NodeProto, view: GraphView, to: int) -> Slots | None:
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


def _obstacle(node: NodeProto, view: GraphView, slots: Slots | None) -> str:
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


def _follow_neighbours(view: GraphView, low: dict[str, Slots], kept: dict[str, str]) -> None:
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
