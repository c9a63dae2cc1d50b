"""How an engine's layers hang together: which feeds which, what lies around one, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.analysis.layers import LayerRow
from core.graph.engine_graph import EngineGraph, Layer, SourceNode

RADIUS = 10

# Positions of layers in execution order, from 1: the first feeds the second.
Edge = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """A part of the layer graph.

    Attributes:
        positions: In execution order.
        before, after: How many layers of the engine come before the first and after the last of them.
    """

    positions: tuple[int, ...]
    edges: tuple[Edge, ...]
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The source nodes of one layer; `edges` count them from 0 in source order.

    Attributes:
        more: Nodes beyond the limit that are left out.
    """

    nodes: tuple[SourceNode, ...]
    edges: tuple[Edge, ...]
    more: int = 0


def layer_edges(graph: EngineGraph) -> tuple[Edge, ...]:
    """Which layer feeds which: by the tensors that layers tell, else by the source nodes in them, else one after the other."""
    told = ((layer.inputs, layer.outputs) for layer in graph.layers)
    edges = _edges(([t.name for t in reads], [t.name for t in writes]) for reads, writes in told)
    if not edges:
        nodes = {node.name: node for node in graph.source_nodes}
        edges = _edges(_tensors_of(layer, nodes) for layer in graph.layers)
    return edges or tuple((position, position + 1) for position in range(1, len(graph.layers)))


def _edges(layers: Iterable[tuple[Sequence[str], Sequence[str]]]) -> tuple[Edge, ...]:
    """From what each layer reads and writes, in execution order; of several writers the latest counts."""
    writer: dict[str, int] = {}
    found: dict[Edge, None] = {}
    for position, (reads, writes) in enumerate(layers, 1):
        found.update(dict.fromkeys((writer[tensor], position) for tensor in reads if tensor in writer))
        writer.update(dict.fromkeys(writes, position))
    return tuple(found)


def _tensors_of(layer: Layer, nodes: Mapping[str, SourceNode]) -> tuple[list[str], list[str]]:
    members = [nodes[name] for name in layer.source_nodes if name in nodes]
    writes = [tensor for node in members for tensor in node.outputs]
    own = set(writes)
    return [tensor for node in members for tensor in node.inputs if tensor not in own], writes


def neighbourhood(count: int, edges: Sequence[Edge], position: int, radius: int = RADIUS) -> Neighbourhood:
    """The layers up to `radius` before and after one in execution order, and the nearest of those farther off that it is tied to.

    Args:
        count: Of the engine's layers.
    """
    first, last = max(1, position - radius), min(count, position + radius)
    tied = {end for edge in edges if position in edge for end in edge}
    nearest = sorted(tied, key=lambda other: abs(other - position))[: 2 * radius]
    chosen = {*nearest, *range(first, last + 1)}
    inner = tuple(edge for edge in edges if edge[0] in chosen and edge[1] in chosen)
    return Neighbourhood(positions=tuple(sorted(chosen)), edges=inner, before=first - 1, after=count - last)


def whole(count: int, edges: Sequence[Edge]) -> Neighbourhood:
    return Neighbourhood(positions=tuple(range(1, count + 1)), edges=tuple(edges))


def inside(layer: Layer, nodes: Mapping[str, SourceNode], limit: int = 150) -> Inside:
    """The source nodes fused into a layer, and what flows between them.

    Args:
        nodes: The source graph's, by name.
    """
    members = [nodes[name] for name in layer.source_nodes if name in nodes]
    shown = members[:limit]
    return Inside(
        nodes=tuple(shown),
        edges=tuple((a - 1, b - 1) for a, b in _edges((node.inputs, node.outputs) for node in shown)),
        more=len(members) - len(shown),
    )


def matching(rows: Iterable[LayerRow], text: str) -> list[LayerRow]:
    """The layers that have the text in their name, kind, kernel, precision or the name of a source node."""
    wanted = text.strip().lower()
    return [row for row in rows if wanted in _searched(row)] if wanted else list(rows)


def _searched(row: LayerRow) -> str:
    return "\n".join((row.name, row.kind, row.kernel or "", row.precision or "", *row.source_nodes)).lower()


def next_match(rows: Sequence[LayerRow], text: str, after: int) -> int | None:
    """Position of the next layer that matches, from the start again after the last one; None when none does."""
    found = [row.position for row in matching(rows, text)] if text.strip() else []
    return next((position for position in found if position > after), found[0] if found else None)
