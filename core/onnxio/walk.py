"""Walks an ONNX model: its graphs, nodes and stored tensors, and names what has no name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import onnx
from onnx import NodeProto

# Both names of ONNX's own operator set.
STANDARD_DOMAINS = ("", "ai.onnx")
# Names that exporters give to axes of unknown length, tf2onnx and Paddle a new one for each.
_PLACEHOLDER = re.compile(r"\??|-1|[Nn]one|unk(__\d+)?|(p2o\.)?DynamicDimension\.\d+")

# Ops that give other values each time.
RANDOM_OPS = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every subgraph below it, outer ones first."""
    yield from _graphs_below(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from graphs_inside(node)


def _graphs_below(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        yield from graphs_inside(node)


def graphs_inside(node: NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node itself holds, and every one below them."""
    for graph in subgraphs(node):
        yield from _graphs_below(graph)


def subgraphs(node: NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node itself holds: branches of an `If`, the body of a `Loop`."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node: of the main graph, its subgraphs and the model's functions."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every stored tensor: initializers, sparse ones' values, and tensors in attributes (`Constant`)."""
    for graph in graphs(model):
        yield from initializers(graph)
    for node in nodes(model):
        yield from attribute_tensors(node)


def initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The weights that a graph stores, sparse ones as their values."""
    yield from graph.initializer
    yield from (sparse.values for sparse in graph.sparse_initializer)


def attribute_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """The tensors that a node holds, such as a `Constant`'s."""
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def name_nodes(model: onnx.ModelProto) -> bool:
    """Gives every unnamed node, and every later one of a name that is taken, a name such as `Conv_12`.

    The number is the node's place in `nodes`, so equal models get equal names.

    Returns:
        Whether anything was named.
    """
    taken = {node.name for node in nodes(model)}
    seen = {""}
    changed = False
    for index, node in enumerate(nodes(model)):
        if node.name in seen:
            name = f"{node.op_type}_{index}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)
            changed = True
        seen.add(node.name)
    return changed


def op_counts(model: onnx.ModelProto) -> dict[str, int]:
    """Count of each op, named as `op_name` does, most frequent first."""
    return dict(Counter(op_name(node) for node in nodes(model)).most_common())


def op_name(node: NodeProto) -> str:
    """The op type; outside the default domain it reads `domain.Op`."""
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"


def opset(model: onnx.ModelProto) -> int | None:
    """The version of the default domain's operator set."""
    return next((entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS), None)


def captured(node: NodeProto) -> list[str]:
    """Names that the node's subgraphs take from outside."""
    found: list[str] = []
    for graph in subgraphs(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        for inner in graph.node:
            found += [name for name in [*inner.input, *captured(inner)] if name and name not in own]
            own |= set(inner.output)
        found += [value.name for value in graph.output if value.name not in own]
    return list(dict.fromkeys(found))


def is_placeholder(symbol: str) -> bool:
    """Whether an axis name says only "unknown"."""
    return _PLACEHOLDER.fullmatch(symbol) is not None
