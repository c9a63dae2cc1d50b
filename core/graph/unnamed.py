"""What layers carry out that name no source node: what lies between the layers around them, where that is certain.

A runtime names the nodes of most layers. Where it makes a layer up, that layer still does some of the work between the named
ones before it and behind it. So no node may be taken from there for a named layer without asking whether the unnamed one has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.graph.engine_graph import Layer, SourceNode
from core.graph.fates import Nature, at_work
from core.graph.source import SourceGraph

# What a layer's kind is called where it is not the node's own word.
_KINDS = {"CastLike": "Cast"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What was found.

    Attributes:
        claims: Source nodes of every layer, those that it names and those that it must have.
        disputed: Nodes that one of several unnamed layers carries out, with the names of those.
    """

    claims: Mapping[str, set[str]]
    disputed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def settle_unnamed(
    source: SourceGraph,
    nature: Nature,
    known: Collection[str],
    layers: Sequence[Layer],
    claims: Mapping[str, Collection[str]],
    apart: Collection[str],
) -> Settled:
    """Gives each layer without a node what it must have.

    Args:
        known: Nodes of whose results the engine holds the values.
        layers: All, with the tensors that they hand to each other.
        claims: Names of the nodes that are certain, by layer.
        apart: Layers that stand for no node: copies, changes of layout.
    """
    return _Settling(source, nature, known, layers, claims, apart).settled()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Unnamed layers that hand tensors to each other, and the named ones around them.

    Attributes:
        fed: Tensors that it reads and no layer makes.
        ends: Whether some result of its own is read by no layer.
    """

    layers: tuple[Layer, ...]
    before: frozenset[str]
    after: frozenset[str]
    fed: frozenset[str]
    ends: bool


class _Settling:
    def __init__(
        self,
        source: SourceGraph,
        nature: Nature,
        known: Collection[str],
        layers: Sequence[Layer],
        claims: Mapping[str, Collection[str]],
        apart: Collection[str],
    ) -> None:
        self._source, self._nature, self._known, self._layers = source, nature, known, layers
        self._apart = frozenset(apart)
        self._claims = {layer.name: set(claims.get(layer.name, ())) for layer in layers}
        self._nodes = {node.name: node for node in source.nodes}
        self._producer = {tensor: node for node in source.nodes for tensor in node.outputs}
        self._constants = frozenset(source.constants)
        self._makers = {tensor.name: layer.name for layer in layers for tensor in layer.outputs}
        self._by_name = {layer.name: layer for layer in layers}
        self._readers: dict[str, list[str]] = defaultdict(list)
        for layer in layers:
            for tensor in layer.inputs:
                self._readers[tensor.name].append(layer.name)

    def settled(self) -> Settled:
        disputed: dict[str, tuple[str, ...]] = {}
        tried: set[tuple[str, ...]] = set()
        while group := next((group for group in self._groups() if self._names(group) not in tried), None):
            tried.add(self._names(group))
            between = self._between(group)
            if found := self._shared_out(group, between):
                for layer, names in found.items():
                    self._claims[layer] |= names
                tried.clear()  # it may be told now what others lie between
            else:
                disputed.update(dict.fromkeys(between, self._names(group)))
        claimed = set().union(*self._claims.values())
        return Settled(claims=self._claims, disputed={name: by for name, by in disputed.items() if name not in claimed})

    def _names(self, group: _Group) -> tuple[str, ...]:
        return tuple(layer.name for layer in group.layers)

    def _shared_out(self, group: _Group, between: Sequence[str]) -> dict[str, set[str]]:
        """Nodes by layer, none where nothing is certain."""
        if not between:
            return {name: {served} for name in self._names(group) if (served := self._served(group))}
        if len(between) == 1 or len(group.layers) == 1:
            alike = _alike(group.layers, [self._nodes[name] for name in between])
            return alike if alike and len(group.layers) == 1 else {name: set(between) for name in self._names(group)}
        return _alike(group.layers, [self._nodes[name] for name in between])

    def _served(self, group: _Group) -> str | None:
        """The one node that a group with no node of its own does some of the work of."""
        around = [*map(self._entries, (group.after, group.before)), *map(self._carried, (group.after, group.before))]
        if group.ends:
            around = [self._carried(group.before)]
        return next((names.pop() for names in around if len(names) == 1), None)

    def _carried(self, layers: Iterable[str]) -> set[str]:
        return set().union(*(self._claims[name] for name in layers))

    def _entries(self, layers: Iterable[str]) -> set[str]:
        """Of the nodes that layers carry out, those that read from no other of them."""
        names = self._carried(layers)
        made = {tensor for name in names for tensor in self._nodes[name].outputs}
        return {name for name in names if made.isdisjoint(self._nodes[name].inputs) and name not in self._known}

    def _groups(self) -> Iterator[_Group]:
        seen: set[str] = set()
        for layer in self._layers:
            if layer.name not in seen and self._is_unnamed(layer.name):
                group = self._group(layer)
                seen.update(self._names(group))
                yield group

    def _is_unnamed(self, name: str) -> bool:
        return not self._claims[name] and name not in self._apart

    def _group(self, first: Layer) -> _Group:
        inside, before, after, fed, ends = {first.name}, set[str](), set[str](), set[str](), False
        pending = [first]
        while pending:
            layer = pending.pop()
            makers, untold = self._before(layer)
            readers, unread = self._behind(layer)
            fed |= untold
            ends |= unread
            for names, outside in ((makers, before), (readers, after)):
                outside |= {name for name in names if not self._is_unnamed(name)}
                for name in names:
                    if self._is_unnamed(name) and name not in inside:
                        inside.add(name)
                        pending.append(self._by_name[name])
        return _Group(
            layers=tuple(layer for layer in self._layers if layer.name in inside),
            before=frozenset(before),
            after=frozenset(after),
            fed=frozenset(fed),
            ends=ends,
        )

    def _before(self, layer: Layer) -> tuple[set[str], set[str]]:
        """The layers that a layer reads from, those that stand for no node seen through, and tensors of no layer."""
        found, fed, seen, pending = set[str](), set[str](), set[str](), [tensor.name for tensor in layer.inputs]
        while pending:
            tensor = pending.pop()
            maker = self._makers.get(tensor)
            if maker is None:
                fed.add(tensor)
            elif maker not in self._apart or self._claims[maker]:
                found.add(maker)
            elif maker not in seen:
                seen.add(maker)
                pending += [tensor.name for tensor in self._by_name[maker].inputs]
        return found, fed

    def _behind(self, layer: Layer) -> tuple[set[str], bool]:
        """The layers that read from a layer, and whether some result ends up with none."""
        found, ends, seen, pending = set[str](), False, set[str](), [tensor.name for tensor in layer.outputs]
        while pending:
            readers = self._readers[pending.pop()]
            ends |= not readers
            for reader in readers:
                if reader not in self._apart or self._claims[reader]:
                    found.add(reader)
                elif reader not in seen:
                    seen.add(reader)
                    pending += [tensor.name for tensor in self._by_name[reader].outputs]
        return found, ends

    def _between(self, group: _Group) -> list[str]:
        """Unclaimed nodes on the ways from what is before a group to what is behind it, in source order."""
        claimed = self._carried(self._claims)
        wanted = [tensor for name in self._carried(group.after) for tensor in self._nodes[name].inputs]
        if group.ends:
            wanted += self._source.outputs
        back: dict[str, None] = {}
        while wanted:
            node = self._maker(wanted.pop())
            if node and node.name not in claimed and node.name not in back and node.name not in self._known:
                back[node.name] = None
                wanted += node.inputs
        reached = self._reached(group, back)
        return [node.name for node in self._source.nodes if node.name in reached]

    def _reached(self, group: _Group, back: Collection[str]) -> set[str]:
        """Of these nodes, those that depend on what the group reads, and on nothing that other layers make."""
        before = self._carried(group.before)
        fed = {tensor for node in self._source.nodes for tensor in node.inputs} - self._producer.keys() - self._constants
        named = group.fed & fed
        start = named or (fed if group.fed else set())
        found: set[str] = set()
        for node in self._source.nodes:
            if node.name not in back:
                continue
            makers = [maker for tensor in node.inputs if (maker := self._maker(tensor)) and maker.name not in self._known]
            outside = [maker.name for maker in makers if maker.name not in back and not self._nature.is_derived(maker)]
            reads = not node.inputs or any(name in before for name in outside) or not start.isdisjoint(node.inputs)
            if all(name in before for name in outside) and (reads or any(maker.name in found for maker in makers)):
                found.add(node.name)
        return found

    def _maker(self, tensor: str) -> SourceNode | None:
        node = self._producer.get(tensor)
        if node is None:
            return None
        node = at_work(node, self._producer)
        return self._nodes[self._source.repeats.get(node.name, node.name)]


def _alike(layers: Sequence[Layer], nodes: Sequence[SourceNode]) -> dict[str, set[str]]:
    """The layers that are of a node's very operation, where there is one of each."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    by_op: dict[str, list[str]] = defaultdict(list)
    for layer in layers:
        by_kind[layer.kind].append(layer.name)
    for node in nodes:
        op = node.op.rpartition(".")[2]
        by_op[_KINDS.get(op, op)].append(node.name)
    return {names[0]: {by_op[kind][0]} for kind, names in by_kind.items() if len(names) == 1 and len(by_op.get(kind, ())) == 1}
