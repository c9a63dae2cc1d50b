"""An engine's layers as rows: in execution order, and summed by kind or precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.base.dtypes import array_bytes
from core.base.units import milliseconds, percent, plural
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer of a table or a chart.

    Attributes:
        position: In execution order, from 1.
        share: Of the time of all timed layers; None when this one was not timed.
        source_nodes: Those fused into it, in source order.
        output_shape: Of its first output; None when the runtime does not tell.
        output_bytes: Of all outputs; None when a shape or type is unknown.
        stream, profile: As `Layer`'s.
    """

    position: int
    name: str
    kind: str
    kernel: str | None
    precision: str | None
    time_ms: float | None
    share: float | None
    source_nodes: tuple[str, ...]
    output_shape: tuple[int, ...] | None
    output_bytes: int | None
    stream: int | None = None
    profile: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTotal:
    """All layers of one kind or precision.

    Attributes:
        time_ms: Of those timed; None when none was.
        share: Of the time of all timed layers.
        source_nodes: How many nodes they carry out.
    """

    key: str
    layers: int
    time_ms: float | None
    share: float | None
    source_nodes: int


UNKNOWN = "not told"


def layer_rows(graph: EngineGraph) -> list[LayerRow]:
    total = total_time_ms(graph)
    return [
        LayerRow(
            position=position,
            name=layer.name,
            kind=layer.kind,
            kernel=layer.kernel,
            precision=layer.precision,
            time_ms=layer.time_ms,
            share=layer.time_ms / total if layer.time_ms is not None and total else None,
            source_nodes=layer.source_nodes,
            output_shape=layer.outputs[0].shape if layer.outputs else None,
            output_bytes=_output_bytes(layer),
            stream=layer.stream,
            profile=layer.profile,
        )
        for position, layer in enumerate(graph.layers, 1)
    ]


def total_time_ms(graph: EngineGraph) -> float | None:
    """Milliseconds of all timed layers; None when none was timed."""
    return sum_times(layer.time_ms for layer in graph.layers)


def sum_times(times: Iterable[float | None]) -> float | None:
    """The sum of what was measured; None when nothing was."""
    known = [time for time in times if time is not None]
    return math.fsum(known) if known else None


def time_text(time_ms: float | None, share: float | None) -> str:
    """`0.123 ms, 4.5 % of the time`."""
    return milliseconds(time_ms) + (f", {percent(share)} of the time" if share is not None else "")


def precisions_text(rows: Sequence[LayerRow]) -> str:
    """What layers compute in, by time where they were timed: `float16 98.2 % of the time, float32 1.8 % of the time`."""
    return ", ".join(
        f"{total.key} " + (f"{percent(total.share)} of the time" if total.share is not None else plural(total.layers, "layer"))
        for total in totals_by_precision(rows)
    )


def totals_by_kind(rows: Sequence[LayerRow]) -> list[LayerTotal]:
    return _totals(rows, lambda row: row.kind)


def totals_by_precision(rows: Sequence[LayerRow]) -> list[LayerTotal]:
    return _totals(rows, lambda row: row.precision or UNKNOWN)


def _totals(rows: Sequence[LayerRow], key: Callable[[LayerRow], str]) -> list[LayerTotal]:
    """Groups of rows, the one with most time first; without times, the one with most layers."""
    groups: dict[str, list[LayerRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    found = [
        LayerTotal(
            key=name,
            layers=len(group),
            time_ms=sum_times(row.time_ms for row in group),
            share=sum_times(row.share for row in group),
            source_nodes=len({node for row in group for node in row.source_nodes}),
        )
        for name, group in groups.items()
    ]
    return sorted(found, key=lambda total: (total.time_ms or 0.0, total.layers), reverse=True)


def _output_bytes(layer: Layer) -> int | None:
    sizes = [tensor_bytes(tensor) for tensor in layer.outputs]
    return sum(size for size in sizes if size is not None) if sizes and None not in sizes else None


def tensor_bytes(tensor: LayerTensor) -> int | None:
    """Bytes of a tensor; None when its shape or type is unknown, or it holds text."""
    return array_bytes(tensor.shape, tensor.dtype)
