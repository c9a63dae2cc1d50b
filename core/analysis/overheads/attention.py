"""Attention: whether scores, softmax and weighted sum run as one kernel, and Q, K and V as one product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from core.analysis.finding import Finding, FindingKind
from core.analysis.kernels import FLOATS, QUANTIZED, nodes_of
from core.analysis.traffic import Traffic
from core.base.units import plural
from core.graph.engine_graph import EngineGraph, Layer, SourceNode

_PRODUCTS = frozenset({"MatMul", "Gemm", "BatchMatMul", "BatchMatMulV2", "Einsum"})
# Between a product and the softmax, and between the softmax and the next product.
_THROUGH = frozenset(
    {"Add", "AddV2", "And", "Cast", "Concat", "DequantizeLinear", "Div", "Dropout", "Expand", "Identity", "Mul", "QuantizeLinear",
     "RealDiv", "Reshape", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"}
)  # fmt: skip
FUSED = "Scores and their softmax never leave such a kernel: nothing to mend."
MERGED = "What all three are made of is read once."
_FEW = 2  # softmaxes from which a layer is a block of much else


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One attention in the source graph, by its nodes.

    Attributes:
        scores, softmax, weighted: The product of Q and K, its softmax, and the product of that and V.
        projections: The products that make Q, K and V, as far as they were found; each once.
    """

    scores: str
    softmax: str
    weighted: str
    projections: tuple[str, ...]


def find(graph: EngineGraph, traffic: Traffic) -> Iterator[Finding]:
    blocks = attention_blocks(graph.source_nodes)
    places = _places(graph)
    fused = [(block, layer) for block in blocks if (layer := _fused_into(block, places)) is not None]
    merged = [layer for block in blocks if (layer := _merged_into(block, places)) is not None]
    if fused or merged:
        yield _good(graph, fused, merged)
    apart = [block for block in blocks if _runs_in_pieces(block, places)]
    if apart:
        yield _apart(graph, traffic, apart, places)


def _good(graph: EngineGraph, fused: list[tuple[Block, Layer]], merged: list[Layer]) -> Finding:
    said = []
    if merged:
        said.append(f"Q, K and V of {plural(len(merged), 'attention block')} run as one GEMM")
    if fused:
        said.append(plural(len(fused), "fused attention kernel"))
    layers = list(dict.fromkeys(layer.name for layer in (*merged, *(layer for _, layer in fused))))
    return Finding(
        kind=FindingKind.ATTENTION_FUSED,
        message="; ".join(said) + ".",
        hint=FUSED if fused else MERGED,
        layers=tuple(layers),
        nodes=nodes_of(graph, (layer for layer in graph.layers if layer.name in set(layers))),
        good=True,
    )


def _apart(graph: EngineGraph, traffic: Traffic, blocks: list[Block], places: Mapping[str, list[Layer]]) -> Finding:
    names = {
        layer.name for block in blocks for node in (block.scores, block.softmax, block.weighted) for layer in places.get(node, ())
    }
    layers = [layer for layer in graph.layers if layer.name in names]
    moved = traffic.of(layers)
    runs = plural(len(blocks), "attention block runs", "attention blocks run")
    computed = [name for name in (*FLOATS, *sorted(QUANTIZED)) if any(layer.precision == name for layer in layers)]
    return Finding(
        kind=FindingKind.ATTENTION_APART,
        message=f"{runs} in pieces, in {' and '.join(computed) or 'a type not told'}: scores, softmax and weighted sum are "
        f"{plural(len(layers), 'kernel')}, by which {moved.told('are read and written')}.",
        hint="As one kernel they would keep the scores to themselves.",
        layers=tuple(layer.name for layer in layers),
        nodes=nodes_of(graph, layers),
        moved=moved,
    )


def attention_blocks(nodes: Iterable[SourceNode]) -> list[Block]:
    """A softmax between two products of computed tensors, each such in the graph's order."""
    nodes = list(nodes)
    makers = {name: node for node in nodes for name in node.outputs}
    readers: dict[str, list[SourceNode]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    found = []
    for node in nodes:
        if node.op != "Softmax" or not node.inputs:
            continue
        scores = _product_before(node.inputs[0], makers)
        weighted = _product_behind(node, readers)
        if scores is None or weighted is None:
            continue
        operands = (*scores.inputs, *weighted.inputs)
        if not all(_is_computed(name, makers) for name in operands):
            continue
        sources = [_projection(name, makers) for name in operands]
        own = tuple(dict.fromkeys(name for name in sources if name and name not in (scores.name, weighted.name)))
        found.append(Block(scores=scores.name, softmax=node.name, weighted=weighted.name, projections=own))
    return found


def _product_before(tensor: str, makers: Mapping[str, SourceNode]) -> SourceNode | None:
    """The nearest product that a tensor comes from, through scaling, masks and shapes."""
    queue, seen = [tensor], set()
    while queue:
        node = makers.get(queue.pop(0))
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op in _PRODUCTS:
            return node
        if node.op in _THROUGH:
            queue += node.inputs
    return None


def _product_behind(node: SourceNode, readers: Mapping[str, list[SourceNode]]) -> SourceNode | None:
    queue = [*node.outputs]
    while queue:
        for reader in readers.get(queue.pop(0), ()):
            if reader.op in _PRODUCTS:
                return reader
            if reader.op in _THROUGH:
                queue += reader.outputs
    return None


def _is_computed(tensor: str, makers: Mapping[str, SourceNode]) -> bool:
    """Whether a tensor is no constant, behind Q and DQ."""
    node = makers.get(tensor)
    while node is not None and node.op in ("QuantizeLinear", "DequantizeLinear", "Cast", "Transpose", "Reshape") and node.inputs:
        node = makers.get(node.inputs[0])
    return node is not None


def _projection(tensor: str, makers: Mapping[str, SourceNode]) -> str:
    found = _product_before(tensor, makers)
    return found.name if found else ""


def _places(graph: EngineGraph) -> dict[str, list[Layer]]:
    """The layers of each node; blocks of several softmaxes do not show what they do, and are left out."""
    softmaxes = {node.name for node in graph.source_nodes if node.op == "Softmax"}
    places: dict[str, list[Layer]] = {}
    for layer in graph.layers:
        if sum(name in softmaxes for name in layer.source_nodes) < _FEW:
            for name in layer.source_nodes:
                places.setdefault(name, []).append(layer)
    return places


def _fused_into(block: Block, places: Mapping[str, list[Layer]]) -> Layer | None:
    """The layer that carries out all of a block."""
    inside = (places.get(block.scores, []), places.get(block.softmax, []), places.get(block.weighted, []))
    return next((layer for layer in inside[1] if layer in inside[0] and layer in inside[2]), None)


def _merged_into(block: Block, places: Mapping[str, list[Layer]]) -> Layer | None:
    """The layer that makes all three of Q, K and V."""
    if len(block.projections) != 3:
        return None
    inside = [places.get(name, []) for name in block.projections]
    return next((layer for layer in inside[0] if all(layer in others for others in inside[1:])), None)


def _runs_in_pieces(block: Block, places: Mapping[str, list[Layer]]) -> bool:
    told = all(places.get(name) for name in (block.scores, block.softmax, block.weighted))
    return told and _fused_into(block, places) is None
