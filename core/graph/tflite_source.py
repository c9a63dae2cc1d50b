"""The operators of a TFLite model, in the order of its file."""

from __future__ import annotations

from typing import Any

from core.graph.engine_graph import SourceNode

PRIMARY = 0  # the subgraph of a model without signatures, and the only one whose nodes the interpreter lists


def subgraph_of(model: Any, signature: str) -> int:
    definitions = (model.SignatureDefs(index) for index in range(model.SignatureDefsLength()))
    return next((d.SubgraphIndex() for d in definitions if _text(d.SignatureKey()) == signature), PRIMARY)


def operators_of(schema: Any, model: Any, subgraph: int) -> tuple[SourceNode, ...]:
    """The operators of a subgraph in their order, each under the name of its first output."""
    graph = model.Subgraphs(subgraph)
    tensors = [_text(graph.Tensors(index).Name()) for index in range(graph.TensorsLength())]
    kinds = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    nodes: dict[str, SourceNode] = {}
    for position in range(graph.OperatorsLength()):
        operator = graph.Operators(position)
        code = model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        outputs = tuple(tensors[operator.Outputs(index)] for index in range(operator.OutputsLength()))
        inputs = (operator.Inputs(index) for index in range(operator.InputsLength()))
        op = _text(code.CustomCode()) or kinds.get(number, str(number))
        name = outputs[0].partition(";")[0] if outputs else op
        name = name if name and name not in nodes else f"{name or op}#{position}"
        read = tuple(tensors[index] for index in inputs if index >= 0)
        nodes[name] = SourceNode(name=name, op=op, inputs=read, outputs=outputs)
    return tuple(nodes.values())


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
