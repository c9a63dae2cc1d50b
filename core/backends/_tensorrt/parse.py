"""From an ONNX file to TensorRT's network, and what to say when the parser refuses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.backends._tensorrt.graph import Graph
from core.backends._tensorrt.log import Log, clean
from core.backends._tensorrt.versions import Features
from core.base.errors import BuildFailed, EngineRoomError, UnsupportedOps
from core.base.units import listed

_SHOWN = 8
NO_TRANSLATION = "there is no translation for this op"
PLUGIN_HINT = "A plugin for these nodes, given by the option `plugins`, would let the rest build; or use another path."
CHANGE_HINT = "Export the model so that it does not ask for that, or use another path."


def parse(trt: Any, network: Any, logger: Any, log: Log, graph: Graph, version: Features) -> None:
    """Reads the graph into the network.

    Raises:
        UnsupportedOps: TensorRT has no translation for some ops.
        BuildFailed: The parser refused for another reason.
    """
    parser = trt.OnnxParser(network, logger)
    if not graph.parse_with(parser):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        refusals = list(dict.fromkeys(refusal_of(error, graph, version) for error in errors))
        raise parse_failure(refusals, () if version.subgraphs else _unsupported(parser, graph), log)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One parser error: its node's op and name, both empty where it tells none, and its reason."""

    op: str
    node: str
    reason: str
    unsupported: bool = False

    @property
    def text(self) -> str:
        where = f"{self.op} {self.node}".strip()
        return f"{self.reason} (at {where})" if where else self.reason


def parse_failure(refusals: Sequence[Refusal], unsupported: Iterable[tuple[str, str]], log: Log) -> EngineRoomError:
    """Why a graph was refused.

    Args:
        unsupported: Name and op of the nodes that TensorRT cannot take, besides those that are refused as such.
    """
    by_op: dict[str, dict[str, None]] = defaultdict(dict)
    for name, op in (*((refusal.node, refusal.op) for refusal in refusals if refusal.unsupported and refusal.op), *unsupported):
        by_op[op][name] = None
    told = "; ".join(refusal.text for refusal in refusals) or "it gave no reason"
    if by_op:
        count = sum(map(len, by_op.values()))
        nodes = "; ".join(f"{op}: {listed(list(names), _SHOWN)}" for op, names in sorted(by_op.items()))
        return UnsupportedOps(
            f"{log.title} cannot take {count} {'node' if count == 1 else 'nodes'} of this graph: {nodes}. It says: {told}",
            hint=PLUGIN_HINT if unsupported or any(is_about_op(refusal.reason) for refusal in refusals) else CHANGE_HINT,
            detail=log.tail(),
        )
    return BuildFailed(f"{log.title} could not read the graph: {told}", hint=CHANGE_HINT, detail=log.tail())


def refusal_of(error: Any, graph: Graph, version: Features) -> Refusal:
    reason = graph.aliases.restore(clean(error.desc() or "no description"))
    if reason == "false":  # the check of an op that has no translation is just that
        reason = NO_TRANSLATION
    if version.node_errors:
        op, node = error.node_operator(), graph.aliases.name(error.node_name())
    else:
        index, nodes = error.node(), graph.source.nodes
        op, node = (nodes[index].op, nodes[index].name) if 0 <= index < len(nodes) else ("", "")
    unsupported = "UNSUPPORTED" in str(error.code()) or is_about_op(reason)
    return Refusal(op, node, reason, unsupported=version.node_errors and unsupported)


def _unsupported(parser: Any, graph: Graph) -> list[tuple[str, str]]:
    """The nodes outside every part of the graph that a TensorRT could take that does not tell them by its errors."""
    _, parts = parser.supports_model(graph.bytes(), str(graph.path))
    fine = {index for indices, supported in parts if supported for index in indices}
    return [(node.name, node.op) for index, node in enumerate(graph.source.nodes) if index not in fine] if parts else []


def is_about_op(reason: str) -> bool:
    """Whether what is refused is an op as such, and not how it is used here."""
    return reason == NO_TRANSLATION or "plugin" in reason.lower() or "importer" in reason
