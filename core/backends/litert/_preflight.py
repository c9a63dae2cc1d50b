"""Asks LiteRT which operators of a file it has kernels for: the whole, and where that fails each operator alone."""

from __future__ import annotations

import re
from pathlib import Path

from core.base.availability import installed_versions
from core.base.children.nodes import at_node
from core.base.progress import Progress, Report
from core.base.reasons import shortened
from core.graph.engine_graph import SourceNode
from core.graph.regions import with_regions
from core.graph.source import SourceGraph
from core.graph.support import NodeSupport, Support, Verdict
from core.graph.tflite_source import PRIMARY, operators_of, subgraph_of
from core.models.model import Source
from core.models.tflite_parts import Operators
from core.models.tflite_tables import read_tables

_PACKAGE = "ai-edge-litert"
_FAILED_AT = re.compile(r"Node number (\d+) \(\S+?\) (failed to (?:prepare|invoke))\.?")
_NOISE = re.compile(r"\s*See instructions: \S+?(?=Node number|\s|$)\s*")
_MAKE_SURE = re.compile(r"Make sure you apply/link the Flex delegate.*?dependency\.", re.DOTALL)
FLEX_HINT = (
    "They are TensorFlow's own ops, for the Flex delegate, which LiteRT's package lacks: run the model in TensorFlow, or "
    "export it without them."
)


def preflight(source: Source, report: Report) -> Support:
    """What LiteRT's own kernels take; a delegate such as XNNPACK takes over some of them and adds none.

    Raises:
        Unavailable: LiteRT is not here.
    """
    report(Progress(message="Reading the operators"))
    tables = read_tables(source.path)
    subgraph = subgraph_of(tables, source.signature.name)
    nodes = operators_of(tables, subgraph)
    operators = Operators(source.path, subgraph)
    said = refusal_of(source.path) if subgraph == PRIMARY else ""
    if subgraph == PRIMARY and said is None:
        told = [NodeSupport(name=node.name, op=node.op) for node in nodes]
    else:
        told = _one_by_one(nodes, operators, said or "", report)
    return Support(
        nodes=with_regions(told, SourceGraph(nodes=nodes, constants=operators.constants)),
        way="LiteRT has no query: its interpreter prepared the whole file with its own kernels, and where it refused that, each "
        "operator as a file of its own.",
        versions=installed_versions(_PACKAGE),
    )


def refusal_of(model: Path | bytes) -> str | None:
    """Why the interpreter does not prepare a model; None when it does."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    given = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    try:
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        Interpreter(**given, num_threads=1, experimental_op_resolver_type=resolver).allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None


def _one_by_one(nodes: tuple[SourceNode, ...], operators: Operators, whole: str, report: Report) -> list[NodeSupport]:
    told = []
    for position, node in enumerate(nodes):
        report(Progress(message=f"Asking LiteRT about {node.op}", fraction=position / len(nodes)))
        at_node(node.op, node.name)
        said = refusal_of(operators.alone(position))
        told.append(NodeSupport(name=node.name, op=node.op) if said is None else _refused(node, said))
    if whole and all(node.verdict is Verdict.TAKEN for node in told):
        found = _FAILED_AT.search(whole)
        place = int(found[1]) if found and int(found[1]) < len(nodes) else None
        if place is not None:
            told[place] = _refused(nodes[place], whole)
        else:
            reason = f"LiteRT refuses the whole and names no operator: {_sentence(whole)}"
            told = [NodeSupport(name=node.name, op=node.op, verdict=Verdict.UNKNOWN, reason=reason) for node in nodes]
    return told


def _refused(node: SourceNode, said: str) -> NodeSupport:
    return NodeSupport(name=node.name, op=node.op, verdict=Verdict.REFUSED, reason=_sentence(said), hint=hint_for(said))


def _sentence(said: str) -> str:
    kept = _FAILED_AT.sub("", _NOISE.sub(" ", said)).strip()
    return " ".join(kept.split()) or " ".join(said.split())


def told(error: Exception) -> str:
    """What its interpreter says, without where to read on: an operator's refusal and its number."""
    return shortened(" ".join(_NOISE.sub(" ", _MAKE_SURE.sub("", str(error))).split()))


def hint_for(said: str) -> str:
    """What to do about something that LiteRT said; empty where nothing is known to help."""
    if "Select TensorFlow op" in said or "Flex" in said:
        return FLEX_HINT
    if "custom op" in said.lower():
        return "LiteRT knows no custom op: export the model without this step, and do it before or after."
    if "builtin opcode" in said:
        return "Update ai-edge-litert, or convert the model with an older TensorFlow."
    return ""
