"""Which type an ONNX graph asks each of its nodes to compute in."""

from __future__ import annotations

import onnx

from core.onnxfile import dtype_name
from core.precision.quantize import WEIGHTED_OPS
from core.precision.view import GraphView

# What is not here (integers for indices, booleans) is no matter of precision.
_TYPES = frozenset({"float64", "float32", "bfloat16", "float16", "float8_e4m3fn", "int8"})


def requested_types(model: onnx.ModelProto) -> dict[str, str]:
    """The type each node is asked to compute in, by node name; Q/DQ nodes, casts and nodes without floats are left out."""
    view = GraphView(model)
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Cast", "Constant"):
            continue
        quantized = [_quantized_type(name, view) for name in node.input[:2]] if node.op_type in WEIGHTED_OPS else [""]
        made = next((dtype_name(view.dtypes[name]) for name in node.output if name in view.dtypes), "")
        kind = quantized[0].replace("uint8", "int8") if all(quantized) else made
        if kind in _TYPES:
            found[node.name] = kind
    return found


def _quantized_type(tensor: str, view: GraphView) -> str:
    """The type that a DQ behind a tensor reads, "" without one."""
    maker = view.producer.get(tensor)
    while maker is not None and maker.op_type in ("Cast", "Transpose", "Reshape", "MaxPool"):
        maker = view.producer.get(maker.input[0])
    if maker is None or maker.op_type != "DequantizeLinear":
        return ""
    return dtype_name(view.dtypes.get(maker.input[0], onnx.TensorProto.INT8))
