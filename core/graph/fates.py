"""What a source graph alone tells of each node: whether it needs running at all, and if not, why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from core.graph.engine_graph import Fate, LooseNode, SourceNode
from core.graph.source import SourceGraph

# Ops that hand their input on unchanged when a model is run, in the words of ONNX and of OpenVINO.
PASSING_OPS = frozenset({"Identity", "Dropout", "StopGradient", "PreventGradient", "NoOp", "Snapshot"})
# Ops that read only the shape of their input.
_SHAPE_OPS = frozenset({"Shape", "Size", "ShapeOf", "Rank", "SequenceLength"})
# Ops that read only the type of their second input.
READ_A_TYPE = frozenset({"CastLike", "ConvertLike"})


class Nature:
    """The nodes of a source graph by what they depend on.

    Attributes:
        constant: Nodes whose inputs are all known before the first run.
        shape_only: Nodes that depend on constants and on shapes, but on no value that is fed.
        unused: Nodes that no output depends on.
        shape_read: Nodes of which nothing but the shape is asked for.
    """

    def __init__(self, source: SourceGraph) -> None:
        self.constant = _derived(source, frozenset())
        self.shape_only = _derived(source, _SHAPE_OPS) - self.constant
        self.unused = _unused(source)
        self.shape_read = _unused(source, _SHAPE_OPS) - self.unused

    def is_derived(self, node: SourceNode) -> bool:
        """Whether a build may know the node's result."""
        return node.name in self.constant or node.name in self.shape_only


def at_work(node: SourceNode, producer: Mapping[str, SourceNode]) -> SourceNode:
    """The node whose result a no-op hands on; any other node itself.

    Args:
        producer: The node that makes each tensor.
    """
    while node.op in PASSING_OPS and node.inputs and node.inputs[0] in producer:
        node = producer[node.inputs[0]]
    return node


def fate(node: SourceNode, source: SourceGraph, nature: Nature) -> LooseNode:
    """Why a node is in no layer."""
    if node.name in nature.constant:
        why = (Fate.FOLDED, "Its inputs are constants, so the build worked it out.")
    elif node.name in nature.unused:
        why = (Fate.ELIMINATED, "No output depends on it.")
    elif node.op in PASSING_OPS and node.name not in source.random:
        why = (Fate.ELIMINATED, f"{node.op} changes nothing when a model is run.")
    elif node.name in source.repeats:
        why = (Fate.ELIMINATED, f"It does the same as {source.repeats[node.name]}, which is done once.")
    elif node.name in nature.shape_only:
        why = (Fate.FOLDED, "It depends on shapes alone, and the build needed no layer for it.")
    elif node.name in nature.shape_read:
        why = (Fate.ELIMINATED, "Nothing but the shape of its result is asked for, and the build knew that.")
    else:
        why = (Fate.UNMAPPED, "The runtime names it in no layer, and its neighbours are in several.")
    return LooseNode(name=node.name, op=node.op, fate=why[0], reason=why[1])


def _derived(source: SourceGraph, starts: Iterable[str]) -> frozenset[str]:
    """Nodes that depend on constants, and on the results of `starts` ops, alone."""
    known = set(source.constants)
    found = set()
    for node in source.nodes:
        read = node.inputs[:1] if node.op in READ_A_TYPE else node.inputs
        if node.name not in source.random and (node.op in starts or known.issuperset(read)):
            known.update(node.outputs)
            found.add(node.name)
    return frozenset(found)


def _unused(source: SourceGraph, ops: Collection[str] = ()) -> frozenset[str]:
    """Nodes whose results no output depends on, what `ops` read left out."""
    wanted = set(source.outputs)
    unused = set()
    for node in reversed(source.nodes):
        if wanted.isdisjoint(node.outputs):
            unused.add(node.name)
        elif node.op not in ops:
            wanted.update(node.inputs)
    return frozenset(unused)
