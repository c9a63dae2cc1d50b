"""Which layers run on which stream, what they wait for, and which of them may run at the same time.

A stream runs its layers in order. A `signal` tells that all before it on its stream is done; a `wait` for the same event holds
its own stream until then. Two layers may overlap where neither comes before the other by these two rules.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from core.base.serialization import to_data
from core.base.units import listed, milliseconds, percent, plural
from core.graph.engine_graph import EngineGraph, Layer

SIGNAL, WAIT = "signal", "wait"
NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One stream; positions of layers count from 1 in the engine's order.

    Attributes:
        layers: Those that do more than signal or wait.
    """

    stream: int
    layers: tuple[int, ...]
    signals: tuple[int, ...] = ()
    waits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A wait and the signal that ends it, by their positions."""

    event: int
    signal: int
    wait: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Layers that follow each other on one stream, and those of another that may run at the same time as any of them."""

    stream: int
    layers: tuple[int, ...]
    other: int
    beside: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When each layer would run if it took its measured time and began as soon as its stream and its waits allow.

    Attributes:
        start_ms: By position.
        total_ms: Until the last layer is done.
        serial_ms: Of all layers one after the other.
        chain: Positions of the layers, one waiting for the other, that the total is made of.
    """

    start_ms: dict[int, float]
    total_ms: float
    serial_ms: float
    chain: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Attributes:
    profile: The optimization profile whose layers these are; None where the engine has one, or does not tell.
    lanes: By stream.
    unmatched: Positions of waits that nothing before them signals.
    schedule: None where layers were not timed.
    """

    profile: int | None
    lanes: tuple[Lane, ...]
    links: tuple[Link, ...] = ()
    unmatched: tuple[int, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    schedule: Schedule | None = None

    @property
    def several(self) -> bool:
        return len(self.lanes) > 1


def streams_of(graph: EngineGraph) -> tuple[Streams, ...]:
    """An engine's streams, for each of its profiles; empty where no layer tells its stream."""
    profiles = sorted({layer.profile for layer in graph.layers}, key=lambda profile: -1 if profile is None else profile)
    numbered = [*enumerate(graph.layers, 1)]
    found = (_streams(profile, {p: one for p, one in numbered if one.profile == profile}) for profile in profiles)
    return tuple(one for one in found if one)


def _streams(profile: int | None, layers: dict[int, Layer]) -> Streams | None:
    told = {position: layer for position, layer in layers.items() if layer.stream is not None}
    if not told:
        return None
    order = _Order(told)
    lanes = tuple(_lane(stream, told) for stream in sorted({layer.stream for layer in told.values() if layer.stream is not None}))
    return Streams(
        profile=profile,
        lanes=lanes,
        links=order.links,
        unmatched=order.unmatched,
        overlaps=tuple(_overlaps(lanes, order)),
        schedule=_schedule(told, order),
    )


def _lane(stream: int, layers: dict[int, Layer]) -> Lane:
    own = [(position, layer.kind) for position, layer in layers.items() if layer.stream == stream]
    return Lane(
        stream=stream,
        layers=tuple(position for position, kind in own if kind not in (SIGNAL, WAIT)),
        signals=tuple(position for position, kind in own if kind == SIGNAL),
        waits=tuple(position for position, kind in own if kind == WAIT),
    )


class _Order:
    """What comes before what.

    Attributes:
        done: For each layer, the last position on every stream that is done before it begins.
        before: The layers that a layer waits for directly: the one before it on its stream, and the signal of its event.
    """

    def __init__(self, layers: dict[int, Layer]) -> None:
        self.done: dict[int, dict[int, int]] = {}
        self.before: dict[int, tuple[int, ...]] = {}
        links: list[Link] = []
        unmatched: list[int] = []
        last: dict[int, int] = {}
        signals: dict[int, int] = {}
        for position, layer in layers.items():
            stream = layer.stream or 0
            before = [last[stream]] if stream in last else []
            if layer.kind == WAIT:
                if layer.event in signals:
                    links.append(Link(event=layer.event or 0, signal=signals[layer.event], wait=position))
                    before.append(signals[layer.event])
                else:
                    unmatched.append(position)
            elif layer.kind == SIGNAL and layer.event is not None:
                signals[layer.event] = position
            known: dict[int, int] = {}
            for one in before:
                for other, until in (*self.done[one].items(), (layers[one].stream or 0, one)):
                    known[other] = max(until, known.get(other, 0))
            self.done[position] = known
            self.before[position] = tuple(before)
            last[stream] = position
        self.links = tuple(links)
        self.unmatched = tuple(unmatched)

    def beside(self, position: int, stream: int, others: Sequence[int], other: int) -> tuple[int, ...]:
        """Those of another stream's layers, in order, that neither come before a layer of `stream` nor after it."""
        first = self.done[position].get(other, 0)
        end = bisect_left(others, position, key=lambda one: self.done[one].get(stream, 0))
        return tuple(one for one in others[:end] if one > first)


def _overlaps(lanes: Sequence[Lane], order: _Order) -> Iterable[Overlap]:
    """For every stream but the busiest, runs of layers that may run beside the same layers of another stream."""
    busiest = max(lanes, key=lambda lane: len(lane.layers))
    seen: set[frozenset[int]] = set()
    for lane in (lane for lane in lanes if lane is not busiest):
        for other in (other for other in lanes if other is not lane):
            pair = frozenset((lane.stream, other.stream))
            if pair in seen:
                continue
            seen.add(pair)
            beside = {one: order.beside(one, lane.stream, other.layers, other.stream) for one in lane.layers}
            for found, run in groupby(lane.layers, key=lambda one, beside=beside: beside[one]):  # type: ignore[misc]
                if found:
                    yield Overlap(stream=lane.stream, layers=tuple(run), other=other.stream, beside=found)


def _schedule(layers: dict[int, Layer], order: _Order) -> Schedule | None:
    if all(layer.time_ms is None for layer in layers.values()):
        return None
    start: dict[int, float] = {}
    end: dict[int, float] = {}
    held_by: dict[int, int | None] = {}
    for position, layer in layers.items():
        latest = max(order.before[position], key=lambda one: end[one], default=None)
        start[position] = 0.0 if latest is None else end[latest]
        end[position] = start[position] + (layer.time_ms or 0.0)
        held_by[position] = latest
    chain: list[int] = []
    current: int | None = max(end, key=lambda one: end[one])
    while current is not None:
        if layers[current].kind not in (SIGNAL, WAIT):
            chain.append(current)
        current = held_by[current]
    return Schedule(
        start_ms=start,
        total_ms=max(end.values()),
        serial_ms=sum(layer.time_ms or 0.0 for layer in layers.values()),
        chain=tuple(reversed(chain)),
    )


def summary(streams: Streams) -> str:
    """`2 streams; 4 of 107 layers on stream 1; 8 waits.`"""
    total = sum(len(lane.layers) for lane in streams.lanes)
    if not streams.several:
        return f"1 stream: all {plural(total, 'layer')} run one after the other."
    busiest = max(streams.lanes, key=lambda lane: len(lane.layers))
    aside = [lane for lane in streams.lanes if lane is not busiest]
    where = ", ".join(f"{len(lane.layers):,} of {plural(total, 'layer')} on stream {lane.stream}" for lane in aside)
    waits = sum(len(lane.waits) for lane in streams.lanes)
    return f"{plural(len(streams.lanes), 'stream')}; {where}; {plural(waits, 'wait')}."


def sentences(streams: Streams) -> list[str]:
    """What is critical about an engine's streams, in words."""
    told = []
    if streams.several and streams.overlaps:
        told.append(f"May run at the same time: {listed([_overlap_text(one) for one in streams.overlaps], NAMED)}.")
    elif streams.several:
        told.append("No layer may run beside another: each stream waits for the other to be done.")
    if streams.schedule and streams.several:
        one = streams.schedule
        saved = f", {percent(1 - one.total_ms / one.serial_ms)} less" if one.serial_ms and one.total_ms < one.serial_ms else ""
        told.append(
            f"By their times in the profiled run the layers take {milliseconds(one.serial_ms)} one after the other; with what "
            f"may overlap, at best {milliseconds(one.total_ms)}{saved}: so long is a chain of "
            f"{plural(len(one.chain), 'layer')} that wait for one another."
        )
    if streams.unmatched:
        told.append(
            f"{plural(len(streams.unmatched), 'wait')} without a signal before: nothing tells what "
            f"{'it waits' if len(streams.unmatched) == 1 else 'they wait'} for."
        )
    return told


def _overlap_text(one: Overlap) -> str:
    return f"{_span(one.layers)} on stream {one.stream} beside {_span(one.beside)} on stream {one.other}"


def _span(positions: Sequence[int]) -> str:
    if len(positions) == 1:
        return f"layer {positions[0]}"
    whole = positions[-1] - positions[0] + 1 == len(positions)
    return f"{'' if whole else f'{len(positions)} of '}layers {positions[0]} to {positions[-1]}"


def streams_as_data(streams: Iterable[Streams]) -> list[dict[str, Any]]:
    """For scripts, the words beside the figures."""
    return [{"summary": summary(one), "sentences": sentences(one), **to_data(one)} for one in streams]
