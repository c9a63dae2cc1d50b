"""Graphs that a precision finds nothing in: what is the case, instead of a graph that is called what it is not."""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import TensorProto

from core.base.dtypes import onnx_dtype
from core.base.errors import ConversionFailed
from core.base.precision import Precision
from core.base.units import listed
from core.onnxio.walk import graphs_inside, op_counts
from core.precision.quantize_plan import WEIGHTED_OPS, QuantizePlan, plan
from core.precision.view import QDQ_OPS, GraphView

_OTHER_FLOATS = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
_QUANTIZED = (*QDQ_OPS, "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger", "DynamicQuantizeLinear")
_NAMED = 3


def check_quantizable(model: onnx.ModelProto, precision: Precision) -> None:
    """Refuses a graph in which nothing could be quantized whatever was wished.

    Args:
        model: As `core.precision.load` gives it.
        precision: INT8 or FP8.

    Raises:
        ConversionFailed: Says why.
    """
    chosen = plan(model, precision=precision)
    if chosen.weights:
        return
    word, types = precision.value.upper(), other_floats(model)
    if types:
        reason, hint = f"it computes in {' and '.join(types)}, and {word} is put into FP32 alone", "Export it in FP32."
    elif any(op in _QUANTIZED for op in op_counts(model)):
        reason, hint = "it is quantized already", "Build it in fp32, which takes its own quantization as it is."
    else:
        reason, hint = _without_weights(model, chosen), "Build it in another precision."
    raise ConversionFailed(f"Nothing in this graph can be quantized to {word}: {reason}.", hint=hint)


def unchanged_note(model: onnx.ModelProto, precision: Precision) -> str:
    """Of a graph in which FP16 or BF16 took the place of nothing."""
    word, types = precision.value.upper(), other_floats(model)
    if types == [precision.facts.dtype]:
        return f"The graph came in {word} already, and is as it was."
    if types:
        return f"The graph computes in {' and '.join(types)} and not in FP32, whose place {word} takes: it is as it was."
    return f"The graph has nothing in FP32 whose place {word} could take: it is as it was."


def other_floats(model: onnx.ModelProto) -> list[str]:
    """The floating-point types that the graph computes in, most tensors first, where it computes nothing in FP32."""
    view = GraphView(model)
    made = [name for node in model.graph.node for name in node.output if name]
    kinds = Counter(view.dtypes.get(name, 0) for name in [*view.inputs, *made])
    if kinds[TensorProto.FLOAT] > sum(kinds[kind] for kind in _OTHER_FLOATS):
        return []
    return [onnx_dtype(kind) for kind, _ in kinds.most_common() if kind in _OTHER_FLOATS]


def _without_weights(model: onnx.ModelProto, chosen: QuantizePlan) -> str:
    """Why no convolution and no product was chosen."""
    if not chosen.kept and (inside := _inside_branches(model)):
        return f"{inside}, and what nodes hold within themselves is left as it is"
    if not chosen.kept:
        named = ", ".join(WEIGHTED_OPS[:-1]) + f" and {WEIGHTED_OPS[-1]}"
        return f"that takes {named} with weights, and it consists of {listed(list(op_counts(model)), _NAMED)}"
    reasons = Counter(chosen.kept.values())
    told = (f"{listed([name for name, why in chosen.kept.items() if why == reason], _NAMED)}: {reason}" for reason in reasons)
    return "; ".join(told)


def _inside_branches(model: onnx.ModelProto) -> str:
    """Which nodes hold convolutions and products within themselves, as branches of an If or the body of a Loop."""
    holders: dict[str, Counter[str]] = {}
    for node in model.graph.node:
        held = Counter(inner.op_type for graph in graphs_inside(node) for inner in graph.node if inner.op_type in WEIGHTED_OPS)
        if held:
            holders[f"{node.op_type} {node.name}"] = held
    told = (f"{listed([f'{count} {op}' for op, count in held.items()], _NAMED)} within {name}" for name, held in holders.items())
    return f"there are {listed(list(told), _NAMED)}" if holders else ""
