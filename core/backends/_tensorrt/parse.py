"""From an ONNX file to TensorRT's network, and what to say when the parser refuses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.backends._tensorrt.graph import Graph
from core.backends._tensorrt.log import Log, clean
from core.backends._tensorrt.versions import Features
from core.base.errors import BuildFailed, EngineRoomError, UnsupportedOps
from core.base.tensors import Signature
from core.base.units import listed

_SHOWN = 8
TAKEN = ("float32", "float16", "bfloat16", "int8", "int32", "int64", "bool")
_TURNED = ("float64", "uint8", "float8_e4m3fn")  # read as another, or taken by some ops
_ABOUT_TYPE = re.compile(r"convert ONNX da[tr][ea] type|convertDtype|convertOnnxWeights", re.IGNORECASE)
NO_TRANSLATION = "there is no translation for this op"
PLUGIN_HINT = "A plugin for these nodes, given by the option `plugins`, would let the rest build; or use another path."
CHANGE_HINT = "Export the model so that it does not ask for that, or use another path."


def parse(trt: Any, network: Any, logger: Any, log: Log, graph: Graph, version: Features, signature: Signature) -> None:
    """Reads the graph into the network.

    Args:
        signature: The graph's.

    Raises:
        UnsupportedOps: TensorRT has no translation for some ops.
        BuildFailed: The parser refused for another reason.
    """
    parser = trt.OnnxParser(network, logger)
    if not graph.parse_with(parser):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        refusals = list(dict.fromkeys(refusal_of(error, graph, version) for error in errors))
        if strange := _strange_inputs(refusals, signature):
            raise BuildFailed(
                f"{log.title} takes no input of such a type: {strange}.",
                hint=f"Export the model with inputs of {', '.join(TAKEN[:-1])} or {TAKEN[-1]}.",
                detail=log.tail(),
            )
        raise parse_failure(refusals, () if version.subgraphs else _unsupported(parser, graph), log)


def _strange_inputs(refusals: Iterable[ParseRefusal], signature: Signature) -> str:
    """The inputs that are refused for their types, where an error about a type names no node."""
    if not any(not refusal.node and is_about_type(refusal.reason) for refusal in refusals):
        return ""
    strange = [f"{spec.name} ({spec.dtype})" for spec in signature.inputs if spec.dtype not in (*TAKEN, *_TURNED)]
    return listed(strange, _SHOWN) if strange else ""


@dataclass(frozen=True, slots=True)
class ParseRefusal:
    """One parser error: its node's op and name, both empty where it tells none, and its reason.

    Attributes:
        inside: For a node in a branch or a body, the op of the one that holds it, whose name `node` then is.
    """

    op: str
    node: str
    reason: str
    unsupported: bool = False
    inside: str = ""

    @property
    def text(self) -> str:
        where = f"{self.op} inside {self.inside} {self.node}" if self.inside else f"{self.op} {self.node}".strip()
        return f"{self.reason} (at {where})" if where else self.reason


def parse_failure(refusals: Sequence[ParseRefusal], unsupported: Iterable[tuple[str, str]], log: Log) -> EngineRoomError:
    """Why a graph was refused.

    Args:
        unsupported: Name and op of the nodes that TensorRT cannot take, besides those that are refused as such.
    """
    by_op: dict[str, dict[str, None]] = defaultdict(dict)
    refused = ((one.node, f"{one.op} inside {one.inside}" if one.inside else one.op) for one in refusals if one.unsupported)
    for name, op in (*((name, op) for name, op in refused if op), *unsupported):
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


def refusal_of(error: Any, graph: Graph, version: Features) -> ParseRefusal:
    reason = graph.aliases.restore(clean(error.desc() or "no description"))
    if reason == "false":  # the check of an op that has no translation is just that
        reason = NO_TRANSLATION
    inside = ""
    if version.node_errors:
        op, told = error.node_operator(), error.node_name()
        node, inside = graph.aliases.name(told), _owner(told, graph)
    else:
        index, nodes = error.node(), graph.source.nodes
        op, node = (nodes[index].op, nodes[index].name) if 0 <= index < len(nodes) else ("", "")
    unsupported = "UNSUPPORTED" in str(error.code()) or is_about_op(reason)
    return ParseRefusal(op, node, reason, unsupported=version.node_errors and unsupported, inside=inside)


def _owner(told: str, graph: Graph) -> str:
    """The op of the node that holds the one which is told, in a branch or a body; "" for a node of the main graph."""
    alias = graph.aliases.mentioned(told)
    if alias is None or not told.startswith(f"{alias}_in"):
        return ""
    name = graph.aliases.name(told)
    return next((node.op for node in graph.source.nodes if node.name == name), "")


def _unsupported(parser: Any, graph: Graph) -> list[tuple[str, str]]:
    """The nodes outside every part of the graph that a TensorRT could take that does not tell them by its errors."""
    _, parts = parser.supports_model(graph.bytes(), str(graph.path))
    fine = {index for indices, supported in parts if supported for index in indices}
    return [(node.name, node.op) for index, node in enumerate(graph.source.nodes) if index not in fine] if parts else []


def is_about_op(reason: str) -> bool:
    """Whether what is refused is an op as such, and not how it is used here."""
    return reason == NO_TRANSLATION or "plugin" in reason.lower() or "importer" in reason


def is_about_type(reason: str) -> bool:
    """Whether what is refused is an element type."""
    return bool(_ABOUT_TYPE.search(reason))
