"""Time of each node, from a trace of TensorFlow's profiler.

The trace is an XSpace protobuf (tsl/profiler/protobuf/xplane.proto). On the host, a TensorFlow node is an event called
`<node>:<op>`, an XLA instruction one with the statistic `hlo_op`; work that XLA hands to other threads ends in an
event `end: <instruction>`.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_END = "end: "


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    name: str
    start_ps: int
    duration_ps: int
    is_hlo: bool


def node_times(run: Callable[[], object], runs: int) -> dict[str, float]:
    """Mean milliseconds a run of each node or XLA instruction that the trace tells of, by its full name."""
    events = _traced(run, runs)
    totals: defaultdict[str, int] = defaultdict(int)
    ends: defaultdict[str, list[int]] = defaultdict(list)
    starts: defaultdict[str, list[_Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.start_ps):
        if event.name.startswith(_END):
            ends[event.name.removeprefix(_END)].append(event.start_ps + event.duration_ps)
        elif event.is_hlo:
            starts[event.name].append(event)
        elif ":" in event.name:
            totals[event.name.rpartition(":")[0]] += event.duration_ps
    for name, begun in starts.items():
        ended = ends[name] if len(ends[name]) == len(begun) else [event.start_ps + event.duration_ps for event in begun]
        totals[name] += sum(end - event.start_ps for event, end in zip(begun, ended, strict=True))
    return {name: total / runs / 1e9 for name, total in totals.items()}


def _traced(run: Callable[[], object], runs: int) -> list[_Event]:
    from tensorflow.profiler import experimental as profiler

    with tempfile.TemporaryDirectory(prefix="tf-profile-") as folder:
        profiler.start(folder)
        try:
            for _ in range(runs):
                run()
        finally:
            profiler.stop()
        return [event for file in Path(folder).rglob("*.xplane.pb") for event in _events(file)]


def _events(file: Path) -> Iterator[_Event]:
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    for plane in XSpace.FromString(file.read_bytes()).planes:
        for line in plane.lines:
            for event in line.events:
                statistics = {plane.stat_metadata[value.metadata_id].name for value in event.stats}
                yield _Event(
                    name=plane.event_metadata[event.metadata_id].name,
                    start_ps=line.timestamp_ns * 1000 + event.offset_ps,
                    duration_ps=event.duration_ps,
                    is_hlo="hlo_op" in statistics,
                )
