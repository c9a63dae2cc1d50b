"""Which source nodes each layer carries out.

A runtime names some nodes of each layer for certain (its claims): the one whose output the layer writes, or those
that it lists. The others were fused in without a word. They are found by slicing the source graph back: a node whose
results are read in one layer alone is part of that layer; one that several layers read is part of the layer that makes
its inputs, if that is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from core.graph.engine_graph import EngineGraph, Layer, LooseNode, SourceNode
from core.graph.fates import PASSING_OPS, Nature, fate
from core.graph.source import SourceGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """Source nodes by layer, in source order, and those that no layer carries."""

    carried: Mapping[str, tuple[str, ...]]
    loose: tuple[LooseNode, ...]


# Ops that runtimes append to a convolution or a product, in the words of ONNX and of OpenVINO.
_APPENDED_OPS = frozenset(
    {"Add", "Mul", "Multiply", "Sub", "Subtract", "Div", "Relu", "Clip", "Clamp", "Sigmoid", "Tanh", "BatchNormalization"}
)


def map_nodes(source: SourceGraph, claims: Mapping[str, Collection[str]], open_layers: Collection[str] = ()) -> Mapped:
    """Finds the layer of every source node.

    Args:
        source: The graph that the backend was given.
        claims: Names of the source nodes that are certain for each layer.
        open_layers: Layers that may go on past the nodes that they claim: a bias or an activation that follows is
            taken to be appended to them.
    """
    return _Mapping(source, claims, open_layers).mapped()


def with_sources(
    layers: Iterable[Layer],
    source: SourceGraph,
    claims: Mapping[str, Collection[str]],
    notes: tuple[str, ...] = (),
    open_layers: Collection[str] = (),
) -> EngineGraph:
    """The engine graph: the layers with their source nodes filled in; arguments as for `map_nodes`."""
    mapped = map_nodes(source, claims, open_layers)
    return EngineGraph(
        layers=tuple(replace(layer, source_nodes=mapped.carried.get(layer.name, ())) for layer in layers),
        source_nodes=source.nodes,
        loose_nodes=mapped.loose,
        notes=(*source.notes, *notes),
    )


class _Mapping:
    def __init__(self, source: SourceGraph, claims: Mapping[str, Collection[str]], open_layers: Collection[str]) -> None:
        self._source = source
        self._open_layers = frozenset(open_layers)
        self._nature = Nature(source)
        self._claimed = {name for names in claims.values() for name in names}
        self._repeats = {
            name: twin for name, twin in source.repeats.items() if not (name in self._claimed and twin in self._claimed)
        }
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
                loose.append(fate(node, self._source, self._nature))
            else:
                for layer in layers:
                    carried[layer].append(node.name)
        return Mapped(carried={layer: tuple(names) for layer, names in carried.items()}, loose=tuple(loose))

    def _append(self) -> None:
        for node in self._source.nodes:
            makers = [made for made in map(self._producer.get, node.inputs) if made and not self._nature.is_derived(made)]
            if self._carriers[node.name] or node.op not in _APPENDED_OPS or len(makers) != 1:
                continue
            before = self._carriers[makers[0].name]
            if len(before) == 1 and before <= self._open_layers and len(self._readers[makers[0].name]) == 1:
                self._carriers[node.name] = set(before)

    def _may_be_fused(self, node: SourceNode) -> bool:
        return node.name not in self._repeats and node.name not in self._nature.unused

    def _layers_reading(self, node: SourceNode) -> set[str]:
        """Layers of the nodes that read this one's results; a build's known values count for each other alone."""
        derived = self._nature.is_derived(node)
        readers = (reader for reader in self._readers[node.name] if self._nature.is_derived(reader) or not derived)
        return {layer for reader in readers for layer in self._carriers[reader.name]}

    def _settle_shared(self) -> None:
        """Nodes that several layers read, or none: they go to the one layer that makes their inputs."""
        for node in self._source.nodes:
            if node.name in self._claimed or self._passes(node) or not self._may_be_fused(node):
                continue
            if self._nature.is_derived(node) and not self._carriers[node.name]:
                continue
            if len(self._carriers[node.name]) != 1:
                self._carriers[node.name] = self._layers_before(node)

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
