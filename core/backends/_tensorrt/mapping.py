"""Joins a TensorRT engine's layers with the ONNX nodes they carry out, and accounts for every node.

Three sources, in this order of trust: the names that TensorRT gives (metadata from 8.6 on, else the layer's name), then
the tensors around a layer (whatever lies in the ONNX graph between a layer's inputs and outputs runs in it, which also
opens Myelin's blocks), then the ends that a block's name spells out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from core.backends._tensorrt.inspector import InspectedEngine, InspectedLayer
from core.backends._tensorrt.names import NameParts, name_parts
from core.base.units import listed, plural
from core.graph.engine_graph import EngineGraph, Fate, Layer, LooseNode, SourceNode
from core.graph.fates import Nature, fate
from core.graph.source import SourceGraph

_MOVES_DATA = frozenset({"Reformat", "MyelinReformat", "NoOp"})
# TensorRT does these without a layer: as strides, as a neighbour's type or layout, as the precision of the layers around.
_ABSORBED = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), "It only changes how the shape is read."),
    "Transpose": "It became part of a neighbour's memory layout.",
    "Cast": "It became part of a neighbour's own conversion of types.",
    "QuantizeLinear": "It became part of the precision of the layers around it.",
    "DequantizeLinear": "It became part of the precision of the layers around it.",
}
NAMED_BY = "source nodes known from"


def engine_graph(engine: InspectedEngine, source: SourceGraph) -> EngineGraph:
    """The engine's layers with their source nodes; every other node is loose, with its reason."""
    return _Mapping(engine, source).graph()


class _Mapping:
    """One join; `claims[i]` are the nodes found so far for layer i."""

    def __init__(self, engine: InspectedEngine, source: SourceGraph) -> None:
        self.engine = engine
        self.source = source
        self.by_name = {node.name: node for node in source.nodes}
        self.order = {name: index for index, name in enumerate(self.by_name)}
        self.producers = {output: node for node in source.nodes for output in node.outputs}
        self.values = {*self.producers, *source.constants, *(value for node in source.nodes for value in node.inputs)}
        self.nature = Nature(source)
        self.parts = [name_parts(entry.told_name, self.by_name) for entry in engine.layers]
        self.claims = [self._named(entry, parts) for entry, parts in zip(engine.layers, self.parts, strict=True)]
        self._leave_to_their_layers()
        self.aliases = self._aliases()

    def graph(self) -> EngineGraph:
        named = {name for claim in self.claims for name in claim}
        taken = set(named)
        layers = []
        for index, entry in enumerate(self.engine.layers):
            found = set() if self._is_copy(index) else self._enclosed(index, taken)
            if self.parts[index].blocks and not found - self.claims[index]:
                found |= self._between_ends(self.parts[index].blocks, taken)
            taken |= found
            layers.append(self._with_nodes(entry.layer, self.claims[index], found - self.claims[index]))
        placed = {name for layer in layers for name in layer.source_nodes}
        loose = tuple(self._loose(node) for node in self.source.nodes if node.name not in placed)
        return EngineGraph(
            layers=tuple(layers), source_nodes=self.source.nodes, loose_nodes=loose, notes=self._notes(layers, named, placed)
        )

    def _named(self, entry: InspectedLayer, parts: NameParts) -> set[str]:
        return {name for name in (*entry.onnx_nodes, *parts.nodes) if name in self.by_name}

    def _leave_to_their_layers(self) -> None:
        """A layer that bears a node's name carries it out; others that name it do some of its scaling or copying beside."""
        bearers = {name for entry in self.engine.layers for name in entry.named_after}
        for entry, claim in zip(self.engine.layers, self.claims, strict=True):
            elsewhere = claim & bearers - {*entry.named_after}
            if claim != elsewhere:
                claim.difference_update(elsewhere)

    def _is_copy(self, index: int) -> bool:
        return self.parts[index].is_copy or (self.engine.layers[index].layer.kind in _MOVES_DATA and not self.claims[index])

    def _aliases(self) -> dict[str, set[str]]:
        """Tensor names that hold the same values: the two sides of each layer that only moves data."""
        groups: dict[str, set[str]] = {}
        for index, entry in enumerate(self.engine.layers):
            inputs, outputs = entry.layer.inputs, entry.layer.outputs
            if self._is_copy(index) and len(inputs) == len(outputs) == 1:
                both = groups.get(inputs[0].name, {inputs[0].name}) | groups.get(outputs[0].name, {outputs[0].name})
                groups.update(dict.fromkeys(both, both))
        return groups

    def _onnx_values(self, tensors: Iterable[str]) -> set[str]:
        return {name for tensor in tensors for name in self.aliases.get(tensor, {tensor}) if name in self.values}

    def _enclosed(self, index: int, taken: set[str]) -> set[str]:
        """The nodes between a layer's input and output tensors that no other layer has and that run at all."""
        layer = self.engine.layers[index].layer
        stops = self._onnx_values(tensor.name for tensor in layer.inputs)
        queue = [*(self._onnx_values(tensor.name for tensor in layer.outputs) - stops)]
        queue += [value for name in self.claims[index] for value in self.by_name[name].inputs if value not in stops]
        found: set[str] = set()
        while queue:
            node = self.producers.get(queue.pop())
            if node is None or node.name in found or (node.name in taken and node.name not in self.claims[index]):
                continue
            if self.nature.is_derived(node):
                continue
            found.add(node.name)
            queue += [value for value in node.inputs if value not in stops]
        return found

    def _between_ends(self, blocks: tuple[tuple[str, str], ...], taken: set[str]) -> set[str]:
        """The nodes on the ways from a block's first node to its last, for blocks whose tensors are not the ONNX graph's."""
        found: set[str] = set()
        for first, last in blocks:
            starts, ends = (name_parts(end, self.by_name).nodes for end in (first, last))
            if starts and ends:
                found |= self._after(starts) & self._before(ends) - taken
        return found

    def _before(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name not in found:
                found.add(name)
                queue += [self.producers[value].name for value in self.by_name[name].inputs if value in self.producers]
        return found

    def _after(self, names: Iterable[str]) -> set[str]:
        found = set(names)
        for node in self.source.nodes:  # ONNX orders nodes topologically
            if any(value in self.producers and self.producers[value].name in found for value in node.inputs):
                found.add(node.name)
        return found

    def _with_nodes(self, layer: Layer, named: set[str], inferred: set[str]) -> Layer:
        if not named and not inferred:
            return layer
        told = f"TensorRT's names ({len(named)})" if named else ""
        found = f"the tensors around the layer ({len(inferred)})" if inferred else ""
        return replace(
            layer,
            source_nodes=tuple(sorted(named | inferred, key=self.order.__getitem__)),
            attributes={**layer.attributes, NAMED_BY: " and ".join(filter(None, (told, found)))},
        )

    def _loose(self, node: SourceNode) -> LooseNode:
        found = fate(node, self.source, self.nature)
        if found.fate is Fate.UNMAPPED and node.op in _ABSORBED:
            return replace(found, fate=Fate.ELIMINATED, reason=_ABSORBED[node.op])
        return found

    def _notes(self, layers: list[Layer], named: set[str], placed: set[str]) -> tuple[str, ...]:
        notes = []
        if not self.engine.detailed:
            notes.append("The engine was built without detailed verbosity: it tells its layers' names alone.")
        if unread := len(self.engine.unread):
            notes.append(f"{unread} of the builder's lines could not be read as layers: {listed(self.engine.unread, 2)}.")
        if inferred := len(placed - named):
            placing = plural(
                inferred, "node is placed by the tensors around its layer", "nodes are placed by the tensors around their layer"
            )
            notes.append(f"{placing}, as TensorRT does not name {'it' if inferred == 1 else 'them'}.")
        if cut := sum(entry.cut for entry in self.engine.layers):
            notes.append(f"TensorRT cut the list of nodes of {plural(cut, 'layer')}; the rest is placed by the tensors around.")
        return (*notes, *self.source.notes)
