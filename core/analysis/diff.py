"""Compares two engines of one source graph, layer by layer, although they fuse differently.

Layers of both engines and the source nodes they carry out form a bipartite graph. A connected component of it is the smallest
set of nodes that both engines carry out with layers of their own, so the times of its layers may be set against each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass, replace

from core.analysis.alignment import stretches
from core.analysis.contradiction import contradiction_in, trusted_graph
from core.analysis.layers import sum_times
from core.graph.engine_graph import EngineGraph, Layer
from core.stages.outcome import Outcome

NOTHING_SHARED = (
    "The engines share no source node, and too few of their layers match by name or shape: they are built from different graphs, "
    "and no layer can be set against another."
)
MATCHED = (
    "There is hardly a source node that both engines carry out, as they were built from different graphs. Rows are stretches of "
    "execution up to layers that match by the model's own names or by their shapes; within one, nothing tells which does what."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffRow:
    """Source nodes that both engines carry out within layers of their own.

    Attributes:
        title: The nodes' ops in source order ("Conv + Relu").
        source_nodes: Empty for layers that carry out no source node, which make one row an engine.
        a_layers, b_layers: Names in execution order; empty where that engine folded or dropped the nodes.
        a_ms, b_ms: Of those layers; 0 without layers in an engine that was timed, None where nothing was timed.
        regrouped: The engines group these nodes into layers differently.
    """

    title: str
    source_nodes: tuple[str, ...]
    a_layers: tuple[str, ...]
    b_layers: tuple[str, ...]
    a_ms: float | None
    b_ms: float | None
    a_precisions: tuple[str, ...] = ()
    b_precisions: tuple[str, ...] = ()
    regrouped: bool = False

    @property
    def delta_ms(self) -> float | None:
        """What B takes more than A."""
        return self.b_ms - self.a_ms if self.a_ms is not None and self.b_ms is not None else None

    @property
    def ratio(self) -> float | None:
        """B's time over A's; None where either has no layers or was not measured, or A's is 0."""
        if not self.a_layers or not self.b_layers:
            return None
        return self.b_ms / self.a_ms if self.a_ms and self.b_ms is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDiff:
    """Rows, the largest difference first.

    Attributes:
        shared_nodes: Source nodes that both graphs have.
        notes: Sentences about what makes the comparison weak.
        by_layers: The rows are stretches between layers that match, as no source node is shared.
    """

    rows: tuple[DiffRow, ...]
    shared_nodes: int
    notes: tuple[str, ...] = ()
    by_layers: bool = False


class _Groups:
    """Disjoint sets of node names (union-find with path halving)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        parent = self._parent
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    def join(self, names: Sequence[str]) -> None:
        for name in names:
            self._parent[self.find(name)] = self.find(names[0])


def diff_builds(a: Outcome, b: Outcome) -> EngineDiff | None:
    """Of two builds, without the times of either whose layers' contradict its latency; None where one told no layers."""
    first, second = trusted_graph(a), trusted_graph(b)
    if first is None or second is None:
        return None
    doubts = {name: one for name, outcome in (("A", a), ("B", b)) if (one := contradiction_in(outcome))}
    diff = diff_engines(first, second, distrusted=doubts.keys())
    return replace(diff, notes=(*(f"{name}: {one.text} {one.meaning}" for name, one in doubts.items()), *diff.notes))


def diff_engines(a: EngineGraph, b: EngineGraph, distrusted: Collection[str] = ()) -> EngineDiff:
    """Sets two engines against each other on the source nodes that they share; without any, on layers that match.

    Where neither works there are no rows: every one would have layers on one side alone.

    Args:
        distrusted: Which of "A" and "B" came without their times, for a reason that is told beside.
    """
    shared = {node.name for node in a.source_nodes} & {node.name for node in b.source_nodes}
    if not shared:
        return _aligned(a, b, distrusted)
    groups = _Groups()
    for layer in (*a.layers, *b.layers):
        if layer.source_nodes:
            groups.join(layer.source_nodes)
    ops = {node.name: node.op for graph in (b, a) for node in graph.source_nodes}
    order = {name: position for position, name in enumerate(dict.fromkeys(n.name for g in (a, b) for n in g.source_nodes))}
    members: dict[str, list[str]] = {}
    carried = dict.fromkeys(node for layer in (*a.layers, *b.layers) for node in layer.source_nodes)
    for name in sorted(carried, key=lambda name: order.get(name, len(order))):
        members.setdefault(groups.find(name), []).append(name)
    a_layers, b_layers = _by_group(a.layers, groups), _by_group(b.layers, groups)
    rows = [
        _row(_title(ops.get(name, "?") for name in names), tuple(names), a_layers.get(root, []), b_layers.get(root, []), (a, b))
        for root, names in members.items()
    ]
    if _one_sided(rows, shared) and (aligned := _aligned(a, b, distrusted)).rows:
        return aligned
    rows += [_row("No source node", (), *own, (a, b)) for own in _without_source(a, b)]
    ordered = tuple(sorted(rows, key=_weight, reverse=True))
    return EngineDiff(rows=ordered, shared_nodes=len(shared), notes=_notes(a, b, len(shared), distrusted))


def _one_sided(rows: Sequence[DiffRow], shared: Set[str]) -> bool:
    """Whether most groups with nodes of both graphs are one engine's alone; those that quantize are in one graph anyway."""
    of_both = [row for row in rows if not shared.isdisjoint(row.source_nodes)]
    return 2 * sum(not (row.a_layers and row.b_layers) for row in of_both) > len(of_both)


def _aligned(a: EngineGraph, b: EngineGraph, distrusted: Collection[str]) -> EngineDiff:
    found = stretches(a, b)
    rows = [_row(stretch.title, (), list(stretch.a), list(stretch.b), (a, b)) for stretch in found]
    first = MATCHED if rows else NOTHING_SHARED
    notes = (first, *_notes(a, b, None, distrusted))
    return EngineDiff(rows=tuple(sorted(rows, key=_weight, reverse=True)), shared_nodes=0, notes=notes, by_layers=bool(rows))


def aligns(a: EngineGraph, b: EngineGraph) -> bool:
    """Whether two engines can be set against each other, layer by layer."""
    return bool({node.name for node in a.source_nodes} & {node.name for node in b.source_nodes}) or bool(stretches(a, b))


def _by_group(layers: Iterable[Layer], groups: _Groups) -> dict[str, list[Layer]]:
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.source_nodes:
            found.setdefault(groups.find(layer.source_nodes[0]), []).append(layer)
    return found


def _without_source(a: EngineGraph, b: EngineGraph) -> list[tuple[list[Layer], list[Layer]]]:
    """Reformats and the like of both engines, set against each other as one row."""
    own_a = [layer for layer in a.layers if not layer.source_nodes]
    own_b = [layer for layer in b.layers if not layer.source_nodes]
    return [(own_a, own_b)] if own_a or own_b else []


def _row(title: str, nodes: tuple[str, ...], a: list[Layer], b: list[Layer], graphs: tuple[EngineGraph, EngineGraph]) -> DiffRow:
    return DiffRow(
        title=title,
        source_nodes=nodes,
        a_layers=tuple(layer.name for layer in a),
        b_layers=tuple(layer.name for layer in b),
        a_ms=_time(a, graphs[0]),
        b_ms=_time(b, graphs[1]),
        a_precisions=_precisions(a),
        b_precisions=_precisions(b),
        regrouped=bool(nodes)
        and {frozenset(layer.source_nodes) for layer in a} != {frozenset(layer.source_nodes) for layer in b},
    )


def _time(layers: list[Layer], graph: EngineGraph) -> float | None:
    if not layers:
        return 0.0 if any(layer.time_ms is not None for layer in graph.layers) else None
    return sum_times(layer.time_ms for layer in layers)


def _precisions(layers: list[Layer]) -> tuple[str, ...]:
    return tuple(sorted({layer.precision for layer in layers if layer.precision}))


def _title(ops: Iterable[str]) -> str:
    """Ops in order, few of them spelled out and many counted."""
    names = list(ops)
    if len(names) <= 4:
        return " + ".join(names)
    return ", ".join(f"{count} {op}" if count > 1 else op for op, count in Counter(names).most_common(4)) + (
        " and others" if len(set(names)) > 4 else ""
    )


def _weight(row: DiffRow) -> tuple[float, float]:
    return abs(row.delta_ms or 0.0), max(row.a_ms or 0.0, row.b_ms or 0.0)


def _notes(a: EngineGraph, b: EngineGraph, shared: int | None, distrusted: Collection[str]) -> tuple[str, ...]:
    notes = []
    if shared is not None and shared < max(len(a.source_nodes), len(b.source_nodes)):
        notes.append(f"Source nodes in both graphs: {shared}, of {len(a.source_nodes)} in A and {len(b.source_nodes)} in B.")
    for name, graph in (("A", a), ("B", b)):
        if name not in distrusted and not any(layer.time_ms is not None for layer in graph.layers):
            notes.append(f"Engine {name} has no layer times.")
        if graph.unmapped:
            notes.append(f"Engine {name} could not place {len(graph.unmapped)} nodes: their time may stand in another row.")
    return tuple(notes)
