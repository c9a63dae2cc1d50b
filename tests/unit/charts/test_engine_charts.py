"""Charts of streams and memory: what is drawn, without pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.rtx_logs import recorded_graph
from bench.stored_builds import fill, store_build, streaming, streaming_request
from core.analysis.board import board
from core.analysis.colours import ColourBy, Colouring
from core.analysis.layers import layer_rows
from core.analysis.memory import context_rows
from core.analysis.profiles import curve
from core.analysis.streams import streams_of
from core.base.profile import AxisRange, ShapeProfile
from core.graph.engine_graph import EngineGraph
from core.graph.memory import EngineMemory
from core.report.charts import lanes_chart
from core.stages.outcome import load_outcome
from core.storage.workspace import Workspace
from dashboard.charts.layers import Span
from dashboard.charts.memory import builds_figure, contexts_figure, curve_figure
from dashboard.charts.streams import lanes_figure

MEMORY = EngineMemory(weights_bytes=50_000_000, activation_bytes=20_000_000, device_persistent_bytes=0)


def lanes(graph: EngineGraph, which: int = 0, span: Span | None = None, *, by_time: bool = False):
    rows = layer_rows(graph)
    streams = streams_of(graph)[which]
    schedule = streams.schedule if by_time else None
    return lanes_figure(rows, streams, Colouring(rows, ColourBy.KIND), 13, span, schedule)


def drawn(figure, kind: str = "bar") -> list[int]:
    return sorted(position for trace in figure.data if trace.type == kind for position in trace.customdata or ())


def test_every_layer_has_a_mark_that_tells_its_position() -> None:
    figure = lanes(streaming())
    synchronizing = [6, 12, 14, 15, 29, 30, 36, 38, 58, 59, 65, 67, 99, 100, 106, 108]
    assert drawn(figure, "scatter") == synchronizing
    assert drawn(figure) == [position for position in range(1, 124) if position not in synchronizing]


def test_a_layer_stands_on_the_lane_of_its_stream_in_its_place() -> None:
    figure = lanes(streaming())
    middles = {
        position: (x, base + y / 2)
        for trace in figure.data
        if trace.type == "bar"
        for position, x, base, y in zip(trace.customdata, trace.x, trace.base, trace.y, strict=True)
    }
    assert middles[11] == (11, 0)
    assert middles[13] == (13, -1)
    assert figure.layout.yaxis.ticktext == ("0", "1")


def test_a_wait_is_joined_to_its_signal() -> None:
    (line,) = [trace for trace in lanes(streaming()).data if trace.type == "scatter" and trace.mode == "lines"]
    assert (line.x[:3], line.y[:3]) == ((6.0, 12.0, None), (0, -1, None))
    assert len(line.x) == 3 * 8


def test_without_times_lanes_stand_in_order_and_say_so() -> None:
    assert "not by time" in lanes(streaming()).layout.xaxis.title.text


def test_with_times_a_layer_is_as_long_as_it_takes() -> None:
    graph = streaming(timed=True)
    figure = lanes(graph, by_time=True)
    lengths = {p: x for trace in figure.data if trace.type == "bar" for p, x in zip(trace.customdata, trace.x, strict=True)}
    assert lengths[13] == pytest.approx(graph.layers[12].time_ms)
    assert figure.layout.xaxis.title.text.startswith("ms,")


def test_a_part_is_drawn_alone_and_an_engines_other_profile_is_not() -> None:
    assert drawn(lanes(streaming(), span=Span(first=7, last=13))) == [7, 8, 9, 10, 11, 13]
    second = lanes(recorded_graph("resnet50-fp16-two-profiles"), 1)
    assert min(drawn(second)) == 76
    assert tuple(second.layout.xaxis.range) == (75.5, 152.5)


def test_the_report_draws_the_same_lanes() -> None:
    graph = streaming()
    rows = layer_rows(graph)
    svg = lanes_chart(rows, streams_of(graph)[0], Colouring(rows, ColourBy.KIND))
    assert svg.count("<title>Layer ") == 107
    assert "Event 1: layer 12 waits for layer 6" in svg


def test_contexts_stand_upon_the_weights() -> None:
    weights, contexts, sums = contexts_figure(context_rows(MEMORY, (1, 3))).data
    assert (list(weights.y), list(contexts.y)) == ([50, 50], [20, 60])
    assert list(sums.text) == ["70.0 MB", "110.0 MB"]


def test_what_is_not_told_is_not_drawn() -> None:
    unknown = replace(MEMORY, weights_bytes=None)
    assert not any(len(trace.x) for trace in contexts_figure(context_rows(unknown)).data)


def test_builds_stand_side_by_side_and_along_their_largest_length(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shelf = fill(workspace)
    keys = [shelf.fp32]
    for most, activations in ((8, 40_000_000), (1, 10_000_000)):
        profile = ShapeProfile(axes={"batch": AxisRange(min=1, opt=1, max=most)})
        graph = replace(streaming(), memory=replace(MEMORY, activation_bytes=activations))
        keys.append(store_build(workspace, streaming_request(shelf.model, profile=profile), graph=graph))
    rows = board([load_outcome(workspace, key) for key in keys])
    weights, contexts, sums = builds_figure(rows, 2).data
    assert list(contexts.x) == [20, 80]
    assert list(weights.x) == [50, 50]
    assert [text.strip() for text in sums.text] == ["70.0 MB", "130.0 MB"]
    points = curve(
        streaming_request(shelf.model),
        "batch",
        {row.key: (load_outcome(workspace, row.key).build.request, row.candidate.memory) for row in rows[1:]},
    )
    activations, whole = curve_figure(points, "batch").data
    assert (list(activations.x), list(activations.y), list(whole.y)) == ([1, 8], [10, 40], [60, 90])
    assert list(activations.marker.symbol) == ["circle", "diamond"]
