"""Which type an ONNX graph asks each of its nodes to compute in."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from core.base.dtypes import onnx_dtype
from core.base.precision import Precision
from core.onnxio.walk import subgraphs
from core.precision.quantize_plan import WEIGHTED_OPS
from core.precision.view import QDQ_OPS, GraphView

# Metadata of a graph whose types cannot say it: the names of nodes that weak typing must leave in FP32, one a line.
FP32_NODES = "engineroom.fp32"
# What is not here (integers for indices, booleans) is no matter of precision.
_TYPES = {"float64", *(precision.facts.dtype for precision in Precision)}


def requested_types(model: onnx.ModelProto) -> dict[str, str]:
    """The type each node is asked to compute in, by node name; Q/DQ, casts, branches and what makes no floats are left out."""
    view = GraphView(model)
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in (*QDQ_OPS, "Cast", "Constant") or any(True for _ in subgraphs(node)):
            continue
        quantized = [_quantized_type(name, view) for name in node.input[:2]] if node.op_type in WEIGHTED_OPS else [""]
        made = next((onnx_dtype(view.dtypes[name]) for name in node.output if name in view.dtypes), "")
        kind = quantized[0].replace("uint8", "int8") if all(quantized) else made
        if kind in _TYPES:
            found[node.name] = kind
    return found


def mark_fp32(model: onnx.ModelProto, names: Iterable[str]) -> None:
    """Writes into the graph which nodes stay in FP32, in place; nothing when there are none."""
    if text := "\n".join(names):
        model.metadata_props.add(key=FP32_NODES, value=text)


def nodes_to_hold_in_fp32(model: onnx.ModelProto) -> list[str]:
    """What weak typing, which may narrow any layer, must be told to leave in FP32.

    In a graph with FP16 tensors, the nodes that make FP32 ones; besides, what `mark_fp32` wrote.
    """
    types = requested_types(model)
    marked = [name for prop in model.metadata_props if prop.key == FP32_NODES for name in prop.value.splitlines()]
    mixed = [name for name, kind in types.items() if kind == "float32"] if "float16" in types.values() else []
    return list(dict.fromkeys([*marked, *mixed]))


def _quantized_type(tensor: str, view: GraphView) -> str:
    """The type that a DQ behind a tensor reads, "" without one."""
    maker = view.producer.get(tensor)
    while maker is not None and maker.op_type in ("Cast", "Transpose", "Reshape", "MaxPool"):
        maker = view.producer.get(maker.input[0])
    if maker is None or maker.op_type != "DequantizeLinear":
        return ""
    return onnx_dtype(view.dtypes.get(maker.input[0], onnx.TensorProto.INT8))
