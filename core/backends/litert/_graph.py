"""A TFLite model's operators, and the nodes that the interpreter runs in their place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.base.dtypes import dtype_name
from core.graph.engine_graph import EngineGraph, Fate, Layer, LayerTensor, LooseNode, SourceNode
from core.graph.tflite_source import PRIMARY, operators_of, subgraph_of
from core.models.tflite_tables import read_tables

_DELEGATE = "DELEGATE"


def engine_graph(interpreter: Any, path: Path, signature: str) -> EngineGraph:
    """The layers of an interpreter that has run once, with the model's operators in each."""
    model = read_tables(path)
    subgraph = subgraph_of(model, signature)
    operators = operators_of(model, subgraph)
    if subgraph != PRIMARY:
        reason = "LiteRT tells the nodes it runs of the model's first subgraph alone, and this signature is another."
        loose = tuple(LooseNode(name=node.name, op=node.op, fate=Fate.UNMAPPED, reason=reason) for node in operators)
        return EngineGraph(layers=(), source_nodes=operators, loose_nodes=loose, notes=(reason,))
    layers = _layers(interpreter, operators)
    parts = sum(layer.kind == _DELEGATE for layer in layers)
    note = f"XNNPACK runs {parts} part(s) of the graph, each as one layer; LiteRT does not tell what it fuses inside."
    return EngineGraph(layers=layers, source_nodes=operators, notes=(note,) if parts else ())


def _layers(interpreter: Any, operators: Sequence[SourceNode]) -> tuple[Layer, ...]:
    """What runs: each delegate, with the operators it took over, and the operators left to LiteRT's own kernels."""
    nodes = interpreter._get_ops_details()
    tensors = {detail["index"]: _tensor(detail) for detail in interpreter.get_tensor_details()}
    delegates = [node for node in nodes[len(operators) :] if node["op_name"] == _DELEGATE]
    taken = {node["index"]: _between(nodes[: len(operators)], node) for node in delegates}
    inside = {index for members in taken.values() for index in members}
    running = [(index, nodes[index], [index]) for index in range(len(operators)) if index not in inside]
    # A delegate runs where the last of its operators stood.
    running += [(max(taken[node["index"]], default=-1), node, taken[node["index"]]) for node in delegates]
    return tuple(
        Layer(
            name=f"delegate {number}" if node["op_name"] == _DELEGATE else operators[members[0]].name,
            kind=node["op_name"],
            kernel="XNNPACK" if node["op_name"] == _DELEGATE else None,
            precision=next((tensors[index].dtype for index in node["outputs"] if index in tensors), None),
            inputs=tuple(tensors[index] for index in node["inputs"] if index in tensors),
            outputs=tuple(tensors[index] for index in node["outputs"] if index in tensors),
            source_nodes=tuple(operators[index].name for index in members),
        )
        for number, (_, node, members) in enumerate(sorted(running, key=lambda entry: entry[0]))
    )


def _between(operators: Sequence[Any], delegate: Any) -> list[int]:
    """Indices of the operators between a delegate's inputs and its outputs."""
    makers = {int(tensor): node for node in operators for tensor in node["outputs"]}
    given = {int(tensor) for tensor in delegate["inputs"]}
    found: set[int] = set()
    pending = [int(tensor) for tensor in delegate["outputs"]]
    while pending:
        node = makers.get(pending.pop())
        if node is not None and node["index"] not in found:
            found.add(node["index"])
            pending.extend(int(tensor) for tensor in node["inputs"] if int(tensor) not in given)
    return sorted(found)


def _tensor(detail: Any) -> LayerTensor:
    dtype = dtype_name(np.dtype(detail["dtype"]))
    return LayerTensor(name=detail["name"], dtype=dtype, shape=tuple(int(length) for length in detail["shape"]))
