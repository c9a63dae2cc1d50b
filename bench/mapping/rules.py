"""The rule book: what must hold of any mapping, whichever runtime made the engine, by names, order and shapes that it tells."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.graph.engine_graph import EngineGraph, Layer, SourceNode
from core.graph.fates import PASSING_OPS, Nature
from core.graph.source import SourceGraph

# Layers that may stand for no node: they bring tensors from one place, layout or type to another.
MOVERS = frozenset(
    {
        "Cast", "Convert", "Reorder", "ReorderInput", "ReorderOutput", "Transpose", "Reshape", "Reformat", "NoOp", "shape_call",
        "MemcpyFromHost", "MemcpyToHost", "copy", "bitcast", "MemoryInput", "MemoryOutput", "_Send", "_Recv", "_HostSend",
        "_HostRecv", "_MklToTf", "signal", "wait", "Signal", "Wait",
    }
)  # fmt: skip
# What Myelin, which spells its blocks' operations out, calls such a layer.
_MOVING_NAME = re.compile(r"__myl_(Cast|Resh|Tran|Move|Copy)+_")
# What computes a product, in the words of several runtimes, and the ops that are one.
_PRODUCTS = frozenset({"FullyConnected", "MatMul", "Gemm", "FusedGemm", "FusedMatMul", "_FusedMatMul", "BatchMatMulV2"})
_PRODUCT_OPS = frozenset({"MatMul", "Gemm", "BatchMatMulV2", "MatMulInteger", "FULLY_CONNECTED"})
_CONVOLUTIONS = frozenset({"Convolution", "Conv", "FusedConv", "_FusedConv2D", "Conv2D"})
_CONVOLUTION_OPS = frozenset({"Conv", "Conv2D", "Convolution"})

_MAY_PASS = frozenset({"Cast", "CastLike", "Expand", "Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
# Of their second input they read the type alone.
_READ_A_TYPE = frozenset({"CastLike"})
# A build may have chosen one of their branches, and what the other one reads is nothing to it then.
_CHOOSE = frozenset({"If", "StatelessIf"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Misplaced:
    """A node in a layer that does not carry it out, and the rule that says so."""

    node: str
    layer: str
    rule: str
    why: str


def misplaced(graph: EngineGraph, source: SourceGraph, elements: Mapping[str, int] | None = None) -> list[Misplaced]:
    """Nodes that stand where they cannot be.

    Args:
        source: The source nodes with their constants and outputs.
        elements: Numbers of elements of source tensors, as far as known.
    """
    book = _Book(graph, source)
    found = [*book.not_where_written(), *book.out_of_order(), *book.beside_an_idle_layer()]
    if elements is not None:
        found += book.of_other_sizes(elements)
    return list({(one.node, one.layer): one for one in found}.values())


def without_node(graph: EngineGraph) -> list[Layer]:
    """Layers that compute something, and stand for no source node."""
    names = {layer.name for layer in graph.layers}

    def is_nothing(layer: Layer) -> bool:
        front, _, number = layer.name.rpartition(".")  # a conversion of the layer before it, by the number of its output
        return _moves(layer) or layer.kind in PASSING_OPS or (front in names and number.isdigit())

    return [layer for layer in graph.layers if not layer.source_nodes and not is_nothing(layer)]


def _moves(layer: Layer) -> bool:
    return layer.kind in MOVERS or _MOVING_NAME.match(layer.name) is not None


class _Book:
    def __init__(self, graph: EngineGraph, source: SourceGraph) -> None:
        self._graph, self._source = graph, source
        self._nature = Nature(source)
        self._nodes = {node.name: node for node in source.nodes}
        self._maker = {tensor: node for node in source.nodes for tensor in node.outputs}
        self._carriers: dict[str, list[str]] = defaultdict(list)
        for layer in graph.layers:
            for name in layer.source_nodes:
                self._carriers[name].append(layer.name)
        self._before = _before(graph.layers)

    def not_where_written(self) -> Iterator[Misplaced]:
        """The layer that writes a source tensor under its name carries out the node that makes it."""
        for layer in self._graph.layers:
            for tensor in layer.outputs:
                maker = self._working(tensor.name)
                if maker is None or self._is_free(maker) or layer.name in self._carriers[maker.name]:
                    continue
                if layer.kind != maker.op and (_moves(layer) or layer.kind in PASSING_OPS):
                    continue  # the same tensor again, elsewhere or in another type
                for other in self._carriers[maker.name]:
                    why = f"{layer.kind} {layer.name} writes its tensor {tensor.name}"
                    yield Misplaced(node=maker.name, layer=other, rule="written elsewhere", why=why)

    def out_of_order(self) -> Iterator[Misplaced]:
        """What a node reads is made in its own layer, or in one that comes before it."""
        for node in self._source.nodes:
            own = self._carriers[node.name]
            if not own or self._is_free(node) or node.op in _CHOOSE:
                continue
            for tensor in node.inputs[:1] if node.op in _READ_A_TYPE else node.inputs:
                maker = self._working(tensor)
                if node.name in own or (maker and maker.name in self._carriers[maker.name]):
                    continue  # by its own name: a runtime that computes maxima before exponentials keeps both
                if not self._leads(maker, own):
                    made_in = ", ".join(self._carriers[maker.name]) if maker else ""
                    why = f"it reads {tensor}, made in {made_in}, which does not lead to it"
                    yield Misplaced(node=node.name, layer=own[0], rule="out of order", why=why)

    def _leads(self, maker: SourceNode | None, layers: Iterable[str]) -> bool:
        """Whether a node's values can reach one of the layers: where it may change nothing, what it reads will do."""
        made_in = self._carriers[maker.name] if maker and not self._is_free(maker) else []
        if maker is None or not made_in or any(one in self._before[layer] for layer in layers for one in made_in):
            return True
        return maker.op in _MAY_PASS and self._leads(self._working(maker.inputs[0]), layers)

    def beside_an_idle_layer(self) -> Iterator[Misplaced]:
        """A product or a convolution is in no layer of another kind while one of its own kind stands for no node."""
        for kinds, ops in ((_PRODUCTS, _PRODUCT_OPS), (_CONVOLUTIONS, _CONVOLUTION_OPS)):
            idle = [layer for layer in self._graph.layers if layer.kind in kinds and not layer.source_nodes]
            for layer in self._graph.layers if idle else ():
                if layer.kind in kinds:
                    continue
                for name in layer.source_nodes:
                    if self._nodes[name].op in ops and any(one.name in self._before[layer.name] for one in idle):
                        why = f"{idle[0].kind} {idle[0].name} stands for no node"
                        yield Misplaced(node=name, layer=layer.name, rule="beside an idle layer", why=why)

    def of_other_sizes(self, elements: Mapping[str, int]) -> Iterator[Misplaced]:
        """A layer that stands for a single node writes as many elements as that node makes."""
        for layer in self._graph.layers:
            if len(layer.source_nodes) != 1 or len(self._carriers[layer.source_nodes[0]]) != 1 or _moves(layer):
                continue
            node = self._nodes[layer.source_nodes[0]]
            sizes = {elements[tensor] for tensor in node.outputs if tensor in elements}
            if any(tensor.format == "NCHWc" for tensor in layer.outputs):
                continue  # channels in blocks are filled up
            written = [math.prod(tensor.shape) for tensor in layer.outputs if tensor.shape is not None]
            if len(sizes) == len(node.outputs) == 1 and len(written) == 1 and written[0] not in sizes:
                why = f"the layer writes {written[0]:,} elements, the node makes {sizes.pop():,}"
                yield Misplaced(node=node.name, layer=layer.name, rule="another size", why=why)

    def _working(self, tensor: str) -> SourceNode | None:
        """The node that makes a tensor's values, behind those that only pass them on."""
        maker = self._maker.get(tensor)
        while maker is not None and maker.op in PASSING_OPS and maker.inputs:
            maker = self._maker.get(maker.inputs[0])
        return maker

    def _is_free(self, node: SourceNode) -> bool:
        """Whether a build may know its result, or take another node's for it."""
        return self._nature.is_derived(node) or node.name in self._source.repeats or node.name in self._source.repeats.values()


def _before(layers: Sequence[Layer]) -> dict[str, set[str]]:
    """Each layer with all those whose results it may read."""
    maker = {tensor.name: layer.name for layer in layers for tensor in layer.outputs}
    reads = {layer.name: {maker[tensor.name] for tensor in layer.inputs if tensor.name in maker} for layer in layers}
    found = {layer.name: {layer.name} for layer in layers}
    changed = True
    while changed:
        changed = False
        for layer in layers:
            wider = found[layer.name].union(*(found[read] for read in reads[layer.name]))
            changed |= len(wider) > len(found[layer.name])
            found[layer.name] = wider
    return found
