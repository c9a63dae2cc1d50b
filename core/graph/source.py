"""The source graph: what a backend was given, as far as the mapping to layers needs to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import onnx
from onnx import numpy_helper

from core.graph.engine_graph import SourceNode
from core.onnxio.walk import RANDOM_OPS, attribute_tensors, captured, graphs_inside, name_nodes, op_name, subgraphs

# Before this IR version, weights had to be among the inputs.
_WEIGHTS_STAND_ALONE = 4
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinear", "MatMulInteger", "ConvInteger", "QGemm")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGraph:
    """Nodes in an order in which every node comes after those it reads from.

    Attributes:
        constants: Tensors whose values the model holds.
        outputs: Tensors that the model gives back.
        repeats: Nodes that do again what an earlier node does on the same tensors, with the name of that node.
        random: Nodes that give other values each time.
        notes: Sentences about what the nodes leave out.
    """

    nodes: tuple[SourceNode, ...]
    constants: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    repeats: dict[str, str] = field(default_factory=dict)
    random: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def nodes_of_onnx(model: onnx.ModelProto) -> SourceGraph:
    """The main graph of an ONNX model; names unnamed nodes in place.

    What a branch or a loop's body holds counts as part of the node that owns it; so do the tensors it reads from outside.
    """
    name_nodes(model)
    graph = model.graph
    constants = [tensor.name for tensor in graph.initializer]
    constants += [tensor.values.name for tensor in graph.sparse_initializer]
    stored = {tensor.name: tensor for tensor in graph.initializer}
    stored |= {node.output[0]: tensor for node in graph.node if node.op_type == "Constant" for tensor in attribute_tensors(node)}
    random = tuple(node.name for node in graph.node if node.op_type in RANDOM_OPS or _trains(node, stored))
    return SourceGraph(
        nodes=tuple(
            SourceNode(
                name=node.name,
                op=op_name(node),
                inputs=tuple(dict.fromkeys(name for name in (*node.input, *captured(node)) if name)),
                outputs=tuple(name for name in node.output if name),
            )
            for node in graph.node
        ),
        constants=tuple(constants),
        outputs=tuple(value.name for value in graph.output),
        repeats=dict(_repeats(node for node in graph.node if node.name not in random)),
        random=random,
        notes=tuple(_notes(graph.node)),
    )


def _trains(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether it is a Dropout that drops: one in training mode, or whose mode is fed."""
    mode = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    return bool(mode) and (mode not in stored or bool(numpy_helper.to_array(stored[mode]).any()))


def drop_fed_weights(model: onnx.ModelProto) -> bool:
    """Takes weights off the graph's inputs, in place.

    There, a caller could feed others, so a runtime may not fold them; and once folded, they would have to be fed.

    Returns:
        Whether there were any.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    if len(fed) == len(model.graph.input):
        return False
    del model.graph.input[:]
    model.graph.input.extend(fed)
    model.ir_version = max(model.ir_version, _WEIGHTS_STAND_ALONE)
    return True


def is_quantized(op: str) -> bool:
    """Whether an op, written as `op_name` does, computes in or converts to integers of few bits."""
    return op.rsplit(".", 1)[-1].startswith(_QUANTIZED)


def _repeats(nodes: Iterable[onnx.NodeProto]) -> Iterator[tuple[str, str]]:
    first: dict[tuple[object, ...], onnx.NodeProto] = {}
    same: dict[str, str] = {}
    for node in nodes:
        if any(True for _ in subgraphs(node)):
            continue
        attributes = tuple(sorted(attribute.SerializeToString() for attribute in node.attribute))
        key = (node.domain, node.op_type, tuple(same.get(name, name) for name in node.input), attributes, len(node.output))
        twin = first.setdefault(key, node)
        if twin is not node:
            same.update(zip(node.output, twin.output, strict=True))
            if node.op_type != "Constant":
                yield node.name, twin.name


def _notes(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        inside = sum(len(graph.node) for graph in graphs_inside(node))
        if inside:
            yield f"{node.op_type} {node.name} holds {inside} nodes of its own; they count as part of it."
