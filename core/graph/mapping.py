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
from dataclasses import dataclass, field, replace

from core.base.units import listed
from core.graph.engine_graph import EngineGraph, Fate, Layer, LooseNode, SourceNode
from core.graph.fates import PASSING_OPS, READ_A_TYPE, Nature, fate
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
_SEEN_THROUGH = frozenset(
    {"Cast", "CastLike", "Concat", "Convert", "Expand", "Flatten", "Pad", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What a backend knows of its engine besides the claims.

    Attributes:
        layers: All layers with the tensors between them, to tell what those carry out that claim nothing; None where they are
            not to be asked.
        open_layers: Layers that may go on past the nodes that they claim: a bias or an activation that follows is taken to be
            appended to them.
        apart: Layers that claim nothing and stand for no node: copies, changes of layout.
        held: Source tensors of which the engine holds the values, as constants.
        known_as: Source tensors by what layers call them, where that is another name.
    """

    layers: Sequence[Layer] | None = None
    open_layers: Collection[str] = ()
    apart: Collection[str] = ()
    held: Collection[str] = ()
    known_as: Mapping[str, str] = field(default_factory=dict)


NO_FACTS = EngineFacts()


def map_nodes(source: SourceGraph, claims: Mapping[str, Collection[str]], facts: EngineFacts = NO_FACTS) -> Mapped:
    """Finds the layer of every source node.

    Args:
        source: The graph that the backend was given.
        claims: Names of the source nodes that are certain for each layer.
    """
    return _Mapping(source, claims, facts).mapped()


def with_sources(
    layers: Sequence[Layer],
    source: SourceGraph,
    claims: Mapping[str, Collection[str]],
    notes: tuple[str, ...] = (),
    facts: EngineFacts = NO_FACTS,
) -> EngineGraph:
    """The engine graph: the layers with their source nodes filled in; arguments as for `map_nodes`."""
    mapped = map_nodes(source, claims, replace(facts, layers=layers))
    return EngineGraph(
        layers=tuple(replace(layer, source_nodes=mapped.carried.get(layer.name, ())) for layer in layers),
        source_nodes=source.nodes,
        loose_nodes=mapped.loose,
        notes=(*source.notes, *notes),
    )


class _Mapping:
    def __init__(self, source: SourceGraph, claims: Mapping[str, Collection[str]], facts: EngineFacts) -> None:
        self._source, self._facts = source, facts
        self._open_layers = frozenset(facts.open_layers)
        self._nature = Nature(source)
        held = frozenset(facts.held)
        self._held = frozenset(node.name for node in source.nodes if node.outputs and held.issuperset(node.outputs))
        self._claimed = {name for names in claims.values() for name in names}
        self._repeats = {
            name: twin for name, twin in source.repeats.items() if not (name in self._claimed and twin in self._claimed)
        }
        layers, known = facts.layers or (), self._nature.constant | self._held
        settled = settle_unnamed(replace(source, repeats=self._repeats), self._nature, known, layers, claims, facts.apart)
        self._disputed = settled.disputed
        self._reads = self._read_by(layers)
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

    def _read_by(self, layers: Sequence[Layer]) -> dict[str, frozenset[str]]:
        """Source names of the tensors that each layer reads, those that stand for no node seen through."""
        found: dict[str, frozenset[str]] = {}
        passed = {tensor.name: layer for layer in layers if layer.name in self._facts.apart for tensor in layer.outputs}
        for layer in layers:
            names, pending = set[str](), [tensor.name for tensor in layer.inputs]
            while pending:
                name = pending.pop()
                if name in passed and name not in names:
                    pending += [tensor.name for tensor in passed[name].inputs]
                names.add(name)
            found[layer.name] = frozenset(self._facts.known_as.get(name, name) for name in names)
        return found

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
        if found.fate is Fate.UNMAPPED and self._is_read_through(node):
            return replace(found, fate=Fate.ELIMINATED, reason="The layers that need its result read its input as it is.")
        if found.fate is Fate.UNMAPPED and self._facts.layers is not None and not self._facts.layers:
            why = "The engine has no layers: what it gives back is what it was given, or constants."
            return replace(found, fate=Fate.ELIMINATED, reason=why)
        return found

    def _is_read_through(self, node: SourceNode) -> bool:
        """Whether whatever needs a node's values has the node's own input before it."""
        needing = list(self._needing(node)) if self._changes_nothing(node) else []
        return bool(needing) and all(self._reading_its_input(node, layers) for layers in needing)

    def _changes_nothing(self, node: SourceNode) -> bool:
        """Whether a node may do nothing, and has but one input of which a build does not know the values."""
        return node.op in _SEEN_THROUGH and len(self._given(node)) == 1

    def _given(self, node: SourceNode) -> list[str]:
        """What a node reads of which a build does not know the values."""
        read = node.inputs[:1] if node.op in READ_A_TYPE else node.inputs
        makers = {tensor: self._producer.get(tensor) for tensor in read if tensor not in self._source.constants}
        return [tensor for tensor, maker in makers.items() if maker is None or not self._nature.is_derived(maker)]

    def _needing(self, node: SourceNode) -> Iterator[set[str]]:
        """The layers of each node that reads a node's values, behind those that may change nothing and are nowhere."""
        for reader in self._readers[node.name]:
            if reader.op in READ_A_TYPE and reader.inputs[0] not in node.outputs:
                continue
            if layers := self._carriers[reader.name]:
                yield layers
            elif self._changes_nothing(reader):
                yield from self._needing(reader)

    def _reading_its_input(self, node: SourceNode, layers: Collection[str]) -> set[str]:
        """Those of the layers that read something that a node reads, or what that was before it was handed on."""
        given, pending = set[str](), self._given(node)
        while pending:
            tensor = pending.pop()
            maker = self._producer.get(tensor)
            if tensor not in given and maker and self._may_pass(maker):
                pending += self._given(maker)
            given.add(tensor)
        return {layer for layer in layers if not self._reads.get(layer, frozenset()).isdisjoint(given)}

    def _may_pass(self, node: SourceNode) -> bool:
        return self._passes(node) or (self._changes_nothing(node) and not self._carriers[node.name])

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
