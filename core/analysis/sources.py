"""Where every source node went: into which layer, or into none and why."""

from __future__ import annotations

from dataclasses import dataclass

from core.graph.engine_graph import EngineGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One source node.

    Attributes:
        layers: Positions of the layers that carry it out; empty when none does.
        layer_names: Theirs.
        fate: "in a layer", "folded", "eliminated" or "unmapped".
        reason: Why it is in no layer.
    """

    name: str
    op: str
    layers: tuple[int, ...]
    layer_names: tuple[str, ...]
    fate: str
    reason: str = ""


IN_A_LAYER = "in a layer"


def source_rows(graph: EngineGraph) -> list[SourceRow]:
    """Every source node, in source order."""
    carried: dict[str, list[int]] = {}
    for position, layer in enumerate(graph.layers, 1):
        for name in layer.source_nodes:
            carried.setdefault(name, []).append(position)
    loose = {node.name: node for node in graph.loose_nodes}
    rows = []
    for node in graph.source_nodes:
        positions = tuple(carried.get(node.name, ()))
        lost = loose.get(node.name)
        rows.append(
            SourceRow(
                name=node.name,
                op=node.op,
                layers=positions,
                layer_names=tuple(graph.layers[position - 1].name for position in positions),
                fate=IN_A_LAYER if positions else lost.fate.value if lost else "unmapped",
                reason="" if positions or not lost else lost.reason,
            )
        )
    return rows
