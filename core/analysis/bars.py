"""Bars of a chart of layers in execution order, neighbours put together where there are too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.analysis.layers import LayerRow, sum_times

MOST_BARS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBar:
    """One layer, or some that follow each other.

    Attributes:
        first, last: Positions in execution order.
        heaviest: Position of the layer that takes the most time, or carries the most source nodes where none was timed.
        category: What it is coloured by: that of most of its time.
        time_ms: None when none of them was timed.
        nodes: Source nodes that they carry out.
        name: The heaviest layer's.
    """

    first: int
    last: int
    heaviest: int
    category: str
    time_ms: float | None
    share: float | None
    nodes: int
    name: str


def layer_bars(rows: Sequence[LayerRow], category: Callable[[LayerRow], str], limit: int = MOST_BARS) -> list[LayerBar]:
    """At most `limit` bars, each of equally many layers but for the last."""
    each = max(1, -(-len(rows) // limit))
    return [_bar(rows[start : start + each], category) for start in range(0, len(rows), each)]


def _bar(rows: Sequence[LayerRow], category: Callable[[LayerRow], str]) -> LayerBar:
    weights: dict[str, tuple[float, int]] = {}
    for row in rows:
        time, nodes = weights.get(category(row), (0.0, 0))
        weights[category(row)] = (time + (row.time_ms or 0.0), nodes + len(row.source_nodes))
    heaviest = max(rows, key=lambda row: (row.time_ms or 0.0, len(row.source_nodes)))
    return LayerBar(
        first=rows[0].position,
        last=rows[-1].position,
        heaviest=heaviest.position,
        category=max(weights, key=lambda key: weights[key]),
        time_ms=sum_times(row.time_ms for row in rows),
        share=sum_times(row.share for row in rows),
        nodes=sum(len(row.source_nodes) for row in rows),
        name=heaviest.name,
    )
