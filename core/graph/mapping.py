"""Which source nodes each layer carries out.

A runtime names some nodes of each layer for certain (its claims): the one whose output the layer writes, or those
that it lists. The others were fused in without a word. They are found by slicing the source graph back: a node whose
results are read in one layer alone is part of that layer; one that several layers read is part of the layer that makes
its inputs, if that is one. Layers that name no node come first, for nobody may take from them what they carry out
(core/graph/unnamed.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from core.base.units import listed
from core.graph.engine_graph import EngineGraph, Fate, Layer, LooseNode, SourceNode
from core.graph.fates import PASSING_OPS, Nature, fate
from core.graph.source import SourceGraph
from core.graph.unnamed import settle_unnamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """Source nodes by layer, in source order, and those that no layer carries."""

    carried: Mapping[str, tuple[str, ...]]
    loose: tuple[LooseNode, ...]


# Ops that runtimes append to a convolution or a product, in the words of ONNX and of OpenVINO.
_APPENDED_OPS = frozenset(
    {"Add", "Mul", "Multiply", "Sub", "Subtract", "Div", "Relu", "Clip", "Clamp", "Sigmoid", "Tanh", "BatchNormalization"}
)

# Ops that may change nothing where they stand.
_SEEN_THROUGH = frozenset({"Cast", "CastLike", "Convert", "Expand", "Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def map_nodes(
    source: SourceGraph,
    claims: Mapping[str, Collection[str]],
    open_layers: Collection[str] = (),
    layers: Sequence[Layer] = (),
    apart: Collection[str] = (),
    held: Collection[str] = (),
    known_as: Mapping[str, str] | None = None,
) -> Mapped:
    """Finds the layer of every source node.

    Args:
        source: The graph that the backend was given.
        claims: Names of the source nodes that are certain for each layer.
        open_layers: Layers that may go on past the nodes that they claim: a bias or an activation that follows is
            taken to be appended to them.
        layers: All layers with the tensors between them, to tell what those carry out that claim nothing.
        apart: Layers that claim nothing and stand for no node: copies, changes of layout.
        held: Source tensors of which the engine holds the values, as constants.
        known_as: Source tensors by what layers call them, where that is another name.
    """
    return _Mapping(source, claims, open_layers, layers, apart, held, known_as or {}).mapped()


def with_sources(
    layers: Sequence[Layer],
    source: SourceGraph,
    claims: Mapping[str, Collection[str]],
    notes: tuple[str, ...] = (),
    open_layers: Collection[str] = (),
    apart: Collection[str] = (),
    held: Collection[str] = (),
    known_as: Mapping[str, str] | None = None,
) -> EngineGraph:
    """The engine graph: the layers with their source nodes filled in; arguments as for `map_nodes`."""
    mapped = map_nodes(source, claims, open_layers, layers, apart, held, known_as)
    return EngineGraph(
        layers=tuple(replace(layer, source_nodes=mapped.carried.get(layer.name, ())) for layer in layers),
        source_nodes=source.nodes,
        loose_nodes=mapped.loose,
        notes=(*source.notes, *notes),
    )


class _Mapping:
    def __init__(
        self,
        source: SourceGraph,
        claims: Mapping[str, Collection[str]],
        open_layers: Collection[str],
        layers: Sequence[Layer],
        apart: Collection[str],
        held: Collection[str],
        known_as: Mapping[str, str],
    ) -> None:
        self._source = source
        self._open_layers = frozenset(open_layers)
        self._nature = Nature(source)
        self._held = frozenset(node.name for node in source.nodes if node.outputs and frozenset(held).issuperset(node.outputs))
        self._claimed = {name for names in claims.values() for name in names}
        self._repeats = {
            name: twin for name, twin in source.repeats.items() if not (name in self._claimed and twin in self._claimed)
        }
        settled = settle_unnamed(
            replace(source, repeats=self._repeats), self._nature, self._nature.constant | self._held, layers, claims, apart
        )
        self._disputed = settled.disputed
        self._reads = {
            layer.name: frozenset(known_as.get(tensor.name, tensor.name) for tensor in layer.inputs) for layer in layers
        }
        claims = {**claims, **settled.claims}
        self._claimed = {name for names in claims.values() for name in names}
        self._carriers: dict[str, set[str]] = defaultdict(set)
        for layer, names in claims.items():
            for name in names:
                self._carriers[self._repeats.get(name, name)].add(layer)
        self._producer = {tensor: node for node in source.nodes for tensor in node.outputs}
        self._readers: dict[str, list[SourceNode]] = defaultdict(list)
        for node in source.nodes:
            for tensor in node.inputs:
                made_by = self._producer.get(tensor)
                if made_by is not None and node.name not in self._repeats:
                    self._readers[self._repeats.get(made_by.name, made_by.name)].append(node)

    def mapped(self) -> Mapped:
        self._append()
        for node in reversed(self._source.nodes):
            if not self._carriers[node.name] and self._may_be_fused(node):
                self._carriers[node.name] = self._layers_reading(node)
        self._settle_shared()
        carried: dict[str, list[str]] = defaultdict(list)
        loose = []
        for node in self._source.nodes:
            layers = self._carriers[node.name]
            if self._is_loose(node, layers):
                loose.append(self._fate(node))
            else:
                for layer in layers:
                    carried[layer].append(node.name)
        return Mapped(carried={layer: tuple(names) for layer, names in carried.items()}, loose=tuple(loose))

    def _append(self) -> None:
        for node in self._source.nodes:
            makers = [made for made in map(self._producer.get, node.inputs) if made and not self._nature.is_derived(made)]
            if self._carriers[node.name] or node.op not in _APPENDED_OPS or len(makers) != 1 or not self._may_be_fused(node):
                continue
            before = self._carriers[makers[0].name]
            if len(before) == 1 and before <= self._open_layers and len(self._readers[makers[0].name]) == 1:
                self._carriers[node.name] = set(before)

    def _fate(self, node: SourceNode) -> LooseNode:
        found = fate(node, self._source, self._nature)
        if node.name in self._held and found.fate is not Fate.FOLDED:
            return replace(found, fate=Fate.FOLDED, reason="The engine holds its result, which the build worked out.")
        if found.fate is Fate.UNMAPPED and (layers := self._disputed.get(node.name)):
            return replace(found, reason=f"One of the layers {listed(layers, 3)} carries it out, and none of them names it.")
        if found.fate is Fate.UNMAPPED and node.op in _SEEN_THROUGH and self._is_read_through(node):
            return replace(found, fate=Fate.ELIMINATED, reason="The layers that need its result read its input as it is.")
        return found

    def _is_read_through(self, node: SourceNode) -> bool:
        """Whether whatever needs a node's values has the node's own input before it."""
        needing = list(self._needing(node))
        return bool(needing) and all(self._reading_its_input(node, layers) for layers in needing)

    def _needing(self, node: SourceNode) -> Iterator[set[str]]:
        """The layers of each node that reads a node's values, behind those that may change nothing and are nowhere."""
        for reader in self._readers[node.name]:
            if reader.op == "CastLike" and reader.inputs[0] not in node.outputs:
                continue  # it reads the type alone
            if layers := self._carriers[reader.name]:
                yield layers
            elif reader.op in _SEEN_THROUGH:
                yield from self._needing(reader)

    def _reading_its_input(self, node: SourceNode, layers: Collection[str]) -> set[str]:
        """Those of the layers that read what a node reads first, or what that was before it was handed on."""
        given = list(node.inputs[:1])
        while given and (maker := self._producer.get(given[-1])) and maker.inputs and self._may_pass(maker):
            given.append(maker.inputs[0])
        return {layer for layer in layers if not self._reads.get(layer, frozenset()).isdisjoint(given)}

    def _may_pass(self, node: SourceNode) -> bool:
        return self._passes(node) or (node.op in _SEEN_THROUGH and not self._carriers[node.name])

    def _may_be_fused(self, node: SourceNode) -> bool:
        name = node.name
        return not (name in self._repeats or name in self._nature.unused or name in self._held or name in self._disputed)

    def _layers_reading(self, node: SourceNode) -> set[str]:
        """Layers of the nodes that read this one's results; a build's known values count for each other alone."""
        derived = self._nature.is_derived(node)
        readers = (reader for reader in self._readers[node.name] if self._nature.is_derived(reader) or not derived)
        return {layer for reader in readers for layer in self._carriers[reader.name]}

    def _settle_shared(self) -> None:
        """Nodes that several layers read, or none: they go to those of them that have the node's input before them, else to the
        one layer that makes it."""
        for node in self._source.nodes:
            if node.name in self._claimed or self._passes(node) or not self._may_be_fused(node):
                continue
            if self._nature.is_derived(node) and not self._carriers[node.name]:
                continue
            if len(self._carriers[node.name]) != 1:
                near = self._reading_its_input(node, self._carriers[node.name])
                certain = near if len(near) == 1 or node.op not in _SEEN_THROUGH else set()
                self._carriers[node.name] = certain or self._layers_before(node)

    def _layers_before(self, node: SourceNode) -> set[str]:
        found: set[str] = set()
        for tensor in node.inputs:
            made_by = self._producer.get(tensor)
            if made_by is not None and not self._nature.is_derived(made_by):
                found |= self._carriers[self._repeats.get(made_by.name, made_by.name)]
        return found if len(found) == 1 else set()

    def _passes(self, node: SourceNode) -> bool:
        return node.op in PASSING_OPS and node.name not in self._source.random

    def _is_loose(self, node: SourceNode, layers: set[str]) -> bool:
        return not layers or node.name in self._repeats or (self._passes(node) and node.name not in self._claimed)
