"""The regions that a graph's supported nodes fall into, and the nodes that stand between them.

A region is a connected run of supported nodes that no path leaves and comes back to, so that it could be one engine; no two
regions that touch could be one. Constants, and what is computed from them alone, belong to none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.graph.engine_graph import SourceNode
from core.graph.source import SourceGraph
from core.graph.support import NodeSupport, Verdict


def with_regions(nodes: Sequence[NodeSupport], graph: SourceGraph) -> tuple[NodeSupport, ...]:
    """The nodes of the graph, each with its region or the regions around it.

    Args:
        nodes: One for each of the graph's, in its order.
    """
    idle = _constant(graph)
    sources = [read - idle for read in _sources(graph.nodes)]
    taken = [node.verdict is Verdict.TAKEN and place not in idle for place, node in enumerate(nodes)]
    group = _merged(_levelled(sources, taken), sources, taken)
    numbers: dict[int, int] = {}
    for own, is_taken in zip(group, taken, strict=True):
        if is_taken:
            numbers.setdefault(own, len(numbers) + 1)
    region = {place: numbers[own] for place, own in enumerate(group) if taken[place]}
    outside = [place for place in range(len(nodes)) if place not in region and place not in idle]
    before = _reached(outside, sources, region)
    after = _reached(reversed(outside), _turned(sources), region)
    return tuple(
        replace(node, region=region.get(place), before=before.get(place, ()), after=after.get(place, ()))
        for place, node in enumerate(nodes)
    )


def _sources(nodes: Sequence[SourceNode]) -> list[set[int]]:
    """The places of the nodes that each node reads from."""
    maker: dict[str, int] = {}
    found = []
    for place, node in enumerate(nodes):
        found.append({maker[name] for name in node.inputs if name in maker})
        maker.update(dict.fromkeys(node.outputs, place))
    return found


def _turned(sources: Sequence[set[int]]) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in sources]
    for place, read in enumerate(sources):
        for source in read:
            found[source].add(place)
    return found


def _constant(graph: SourceGraph) -> set[int]:
    """Places of the nodes that depend on constants alone."""
    constants = set(graph.constants)
    found = set()
    for place, node in enumerate(graph.nodes):
        if node.name not in graph.random and (node.op == "Constant" or (node.inputs and constants.issuperset(node.inputs))):
            found.add(place)
            constants.update(node.outputs)
    return found


def _levelled(sources: Sequence[set[int]], taken: Sequence[bool]) -> list[int]:
    """The group of each node, by its first one: connected taken nodes with as many others in the way from the graph's inputs."""
    level: list[int] = []
    parent = list(range(len(sources)))
    for place, read in enumerate(sources):
        level.append(max((level[source] + (taken[place] and not taken[source]) for source in read), default=0))
        if taken[place]:
            for source in read:
                if taken[source] and level[source] == level[place]:
                    _join(parent, source, place)
    return [_root(parent, place) for place in range(len(sources))]


def _merged(group: Sequence[int], sources: Sequence[set[int]], taken: Sequence[bool]) -> list[int]:
    """The groups, those of taken nodes that touch made one wherever no path leads from the one to the other by a third."""
    reads: dict[int, set[int]] = {own: set() for own in group}
    for place, read in enumerate(sources):
        reads[group[place]] |= {group[source] for source in read} - {group[place]}
    into: dict[int, int] = {}
    changed = True
    while changed:
        changed = False
        for later, earlier in [(later, earlier) for later, read in reads.items() for earlier in read]:
            both_there = later in reads and earlier in reads[later]
            if both_there and taken[later] and taken[earlier] and not _by_a_third(earlier, later, reads):
                _contract(earlier, later, reads)
                into[later] = earlier
                changed = True
    return [_last(into, own) for own in group]


def _by_a_third(earlier: int, later: int, reads: Mapping[int, set[int]]) -> bool:
    """Whether a path leads from one group to another through others."""
    pending, seen = list(reads[later] - {earlier}), set[int]()
    while pending:
        own = pending.pop()
        if own == earlier:
            return True
        if own not in seen:
            seen.add(own)
            pending.extend(reads[own])
    return False


def _contract(earlier: int, later: int, reads: dict[int, set[int]]) -> None:
    reads[earlier] |= reads.pop(later) - {earlier}
    for read in reads.values():
        if later in read:
            read.remove(later)
            read.add(earlier)
    reads[earlier].discard(earlier)


def _last(into: Mapping[int, int], own: int) -> int:
    while own in into:
        own = into[own]
    return own


def _reached(order: Iterable[int], sources: Sequence[set[int]], region: Mapping[int, int]) -> dict[int, tuple[int, ...]]:
    """The regions that lead to each of these nodes through nodes of no region; `order` has every node after those it reads."""
    found: dict[int, set[int]] = {}
    for place in order:
        near = {region[source] for source in sources[place] if source in region}
        found[place] = near.union(*(found[source] for source in sources[place] if source in found))
    return {place: tuple(sorted(numbers)) for place, numbers in found.items()}


def _join(parent: list[int], one: int, other: int) -> None:
    first, second = sorted((_root(parent, one), _root(parent, other)))
    parent[second] = first


def _root(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place
