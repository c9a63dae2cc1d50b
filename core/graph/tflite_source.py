"""The operators of a TFLite model, in the order of its file."""

from __future__ import annotations

from typing import Any

from core.base.dtypes import tflite_dtype
from core.graph.engine_graph import SourceNode
from core.models.tflite_tables import op_of, signature_ends, text

PRIMARY = 0  # the subgraph of a model without signatures, and the only one whose nodes the interpreter lists


def subgraph_of(model: Any, signature: str) -> int:
    ends = signature_ends(model, signature)
    return ends.subgraph if ends else PRIMARY


def operators_of(model: Any, subgraph: int) -> tuple[SourceNode, ...]:
    """The operators of a subgraph in their order, each under the name of its first output."""
    graph = model.Subgraphs(subgraph)
    tensors = [text(graph.Tensors(index).Name()) for index in range(graph.TensorsLength())]
    nodes: dict[str, SourceNode] = {}
    for position in range(graph.OperatorsLength()):
        operator = graph.Operators(position)
        outputs = tuple(tensors[operator.Outputs(index)] for index in range(operator.OutputsLength()))
        inputs = (operator.Inputs(index) for index in range(operator.InputsLength()))
        op, _ = op_of(model, operator)
        name = outputs[0].partition(";")[0] if outputs else op
        name = name if name and name not in nodes else f"{name or op}#{position}"
        read = tuple(tensors[index] for index in inputs if index >= 0)
        nodes[name] = SourceNode(name=name, op=op, inputs=read, outputs=outputs, own=_own_type(graph, operator))
    return tuple(nodes.values())


def _own_type(graph: Any, operator: Any) -> str:
    """The type that an operator computes in: a float type, "int8" of a quantized one, "" for indices and booleans."""
    if not operator.OutputsLength():
        return ""
    made = graph.Tensors(operator.Outputs(0))
    kind, quantization = tflite_dtype(made.Type()), made.Quantization()
    quantized = quantization is not None and quantization.ScaleLength() > 0
    return kind if "float" in kind or (quantized and kind in ("int8", "uint8")) else ""
