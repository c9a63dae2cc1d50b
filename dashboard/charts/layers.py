"""Layers in execution order as bars: what `layer_bars.js` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.analysis.bars import LayerBar, layer_bars
from core.analysis.colours import Colouring
from core.analysis.layers import LayerRow, time_text
from core.base.units import plural, shortened

HEIGHT = 260


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Layers from one position to another, both counted in."""

    first: int
    last: int


def bars_data(rows: Sequence[LayerRow], colouring: Colouring, selected: int, span: Span | None = None) -> dict[str, Any]:
    """A bar a layer, or for some that follow each other: its time where layers were timed, else the source nodes in it.

    Args:
        rows: Of the whole engine.
        span: Layers to draw alone; all of them when it is None.
    """
    drawn = rows[span.first - 1 : span.last] if span else rows
    timed = any(row.time_ms is not None for row in rows)
    bars = layer_bars(drawn, colouring.category)
    each = bars[0].last - bars[0].first + 1
    unit = "ms a run" if timed else "source nodes"
    return {
        "bars": [
            {
                "first": bar.first,
                "last": bar.last,
                "heaviest": bar.heaviest,
                "parts": _parts(drawn[bar.first - drawn[0].position : bar.last - drawn[0].position + 1], colouring, timed=timed),
                "told": _told(bar),
            }
            for bar in bars
        ],
        "legend": colouring.legend,
        "selected": selected,
        "total": len(rows),
        "height": HEIGHT,
        "unit": unit if each == 1 else f"{unit}, {each} layers a bar",
        "axis": "Layers in the order of execution",
    }


def _parts(rows: Sequence[LayerRow], colouring: Colouring, *, timed: bool) -> dict[str, float]:
    """What each category has of a bar."""
    parts: dict[str, float] = {}
    for row in rows:
        value = (row.time_ms or 0.0) if timed else len(row.source_nodes)
        parts[colouring.category(row)] = parts.get(colouring.category(row), 0.0) + value
    return parts


def _told(bar: LayerBar) -> list[str]:
    which = f"Layer {bar.first}" if bar.first == bar.last else f"Layers {bar.first} to {bar.last}, heaviest {bar.heaviest}"
    nodes = plural(bar.nodes, "source node")
    mostly = bar.category if bar.first == bar.last else f"mostly {bar.category}"
    return [which, shortened(bar.name, 60), time_text(bar.time_ms, bar.share), nodes, mostly]
