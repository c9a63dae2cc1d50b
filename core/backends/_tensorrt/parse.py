"""From an ONNX file to TensorRT's network, and what to say when the parser refuses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from core.backends._tensorrt.graph import Graph
from core.backends._tensorrt.log import Log, clean
from core.backends._tensorrt.versions import Features
from core.base.errors import BuildFailed, EngineRoomError, UnsupportedOps

_SHOWN = 8


def parse(trt: Any, network: Any, logger: Any, log: Log, graph: Graph, version: Features) -> None:
    """Reads the graph into the network.

    Raises:
        UnsupportedOps: TensorRT has no translation for some ops.
        BuildFailed: The parser refused for another reason.
    """
    parser = trt.OnnxParser(network, logger)
    if not graph.parse_with(parser):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise parse_failure([_told(error, graph, version) for error in errors], _unsupported(parser, graph, version), log)


def parse_failure(errors: Sequence[tuple[str, str]], unsupported: Iterable[tuple[str, str]], log: Log) -> EngineRoomError:
    """Why a graph was refused.

    Args:
        errors: Node (with its op, or empty) and text of each parser error.
        unsupported: Name and op of the nodes that TensorRT cannot take.
    """
    by_op = defaultdict(list)
    for name, op in unsupported:
        by_op[op].append(name)
    told = "; ".join(f"{text} (at {node})" if node else text for node, text in errors) or "it gave no reason"
    if by_op:
        listed = "; ".join(f"{op}: {_shown(names)}" for op, names in sorted(by_op.items()))
        return UnsupportedOps(
            f"{log.title} cannot take {sum(map(len, by_op.values()))} nodes of this graph: {listed}. It says: {told}",
            hint="A plugin for these nodes, given by the option `plugins`, would let the rest build; or use another path.",
            detail=log.tail(),
        )
    return BuildFailed(
        f"{log.title} could not read the graph: {told}", hint="Another opset or a simplified graph may help.", detail=log.tail()
    )


def _told(error: Any, graph: Graph, version: Features) -> tuple[str, str]:
    nodes = graph.source.nodes
    if version.node_errors:
        node = f"{error.node_operator()} {graph.aliases.name(error.node_name())}".strip()
    else:
        index = error.node()
        node = f"{nodes[index].op} {nodes[index].name}" if 0 <= index < len(nodes) else ""
    return node, graph.aliases.restore(clean(error.desc() or "no description"))


def _unsupported(parser: Any, graph: Graph, version: Features) -> list[tuple[str, str]]:
    """The nodes outside every part of the graph that TensorRT could take."""
    if version.subgraphs:
        parser.supports_model_v2(graph.bytes(), str(graph.path))
        count = parser.num_subgraphs
        parts = [(parser.get_subgraph_nodes(index), parser.is_subgraph_supported(index)) for index in range(count)]
    else:
        _, parts = parser.supports_model(graph.bytes(), str(graph.path))
    fine = {index for indices, supported in parts if supported for index in indices}
    return [(node.name, node.op) for index, node in enumerate(graph.source.nodes) if index not in fine] if parts else []


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
