"""Figures from rows: what is drawn, without pixels."""

from __future__ import annotations

import pytest

from bench.stored_builds import Shelf, chain, fill, resnet
from core.analysis.board import board
from core.analysis.colours import ColourBy, Colouring
from core.analysis.comparison_row import ComparisonRow
from core.analysis.diff import diff_engines
from core.analysis.layers import layer_rows
from core.graph.engine_graph import EngineGraph
from core.stages.outcome import load_outcome
from core.storage.workspace import Workspace
from dashboard.charts.comparison import Against, differences_figure, latency_figure, scatter_figure
from dashboard.charts.latency import samples_figure
from dashboard.charts.layers import Span, bars_data


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return fill(Workspace(tmp_path_factory.mktemp("workspace")))


@pytest.fixture(scope="module")
def rows(shelf: Shelf) -> list[ComparisonRow]:
    keys = (shelf.fp32, shelf.fp16, shelf.int8, shelf.untimed, shelf.failed, shelf.running)
    return board([load_outcome(shelf.workspace, key) for key in keys])


def bars(graph: EngineGraph, by: ColourBy = ColourBy.PRECISION, selected: int = 1, span: Span | None = None):
    rows = layer_rows(graph)
    return bars_data(rows, Colouring(rows, by), selected, span)


def test_a_bar_for_each_layer_in_its_colour() -> None:
    graph = resnet("fp16")
    data = bars(graph)
    assert {bar["first"]: bar["parts"] for bar in data["bars"]} == {
        n: {layer.precision or "not told": pytest.approx(layer.time_ms)} for n, layer in enumerate(graph.layers, 1)
    }
    assert set(data["legend"]) == {layer.precision or "not told" for layer in graph.layers}


def test_ten_thousand_layers_are_drawn_as_some_hundred_bars() -> None:
    data = bars(chain(10_000), selected=9_999)
    assert len(data["bars"]) <= 600
    assert data["unit"] == "ms a run, 17 layers a bar"
    assert data["total"] == 10_000
    assert data["bars"][0]["parts"].keys() == {"float16", "float32"}
    assert sum(sum(bar["parts"].values()) for bar in data["bars"]) == pytest.approx(
        sum(row.time_ms for row in chain(10_000).layers)
    )


def test_a_part_is_drawn_layer_by_layer() -> None:
    data = bars(chain(10_000), span=Span(first=501, last=1000))
    assert [(bar["first"], bar["last"]) for bar in data["bars"]] == [(n, n) for n in range(501, 1001)]
    assert data["unit"] == "ms a run"


def test_untimed_layers_are_drawn_by_their_source_nodes(shelf: Shelf) -> None:
    graph = load_outcome(shelf.workspace, shelf.untimed).graph
    assert graph
    data = bars(graph)
    assert data["unit"] == "source nodes"
    assert sum(sum(bar["parts"].values()) for bar in data["bars"]) == sum(len(layer.source_nodes) for layer in graph.layers)
    assert all("not measured" in bar["told"] for bar in data["bars"])


def test_latency_has_a_dot_with_its_interval_for_what_was_measured(rows: list[ComparisonRow]) -> None:
    figure = latency_figure(rows)
    medians = sorted(x for trace in figure.data for x in trace.x)
    assert medians == sorted(row.latency.median_ms for row in rows if row.latency)
    for trace in figure.data:
        assert all(up > 0 and down > 0 for up, down in zip(trace.error_x.array, trace.error_x.arrayminus, strict=True))


def test_latencies_far_apart_get_an_axis_of_powers(rows: list[ComparisonRow]) -> None:
    assert latency_figure(rows).layout.xaxis.type == "log"
    assert latency_figure(rows[:3]).layout.xaxis.type is None


@pytest.mark.parametrize("against", list(Against))
def test_the_scatter_holds_what_has_both_figures(rows: list[ComparisonRow], against: Against) -> None:
    assert sum(len(trace.x) for trace in scatter_figure(rows, against).data) == 4


def test_nothing_measured_draws_nothing(rows: list[ComparisonRow]) -> None:
    assert not latency_figure(rows[4:]).data
    assert not scatter_figure(rows[4:], Against.SIZE).data


def test_the_largest_difference_is_drawn_first() -> None:
    diff = diff_engines(resnet("fp32"), resnet("fp16"))
    a, b = differences_figure(diff.rows, "fp32", "fp16").data
    gaps = [abs(y - x) for x, y in zip(a.x, b.x, strict=True)]
    assert gaps == sorted(gaps, reverse=True)
    assert a.y[0].startswith("1. ")


def test_samples_are_all_drawn(shelf: Shelf) -> None:
    measured = load_outcome(shelf.workspace, shelf.fp16).measurement
    assert measured
    assert len(samples_figure(measured).data[0].y) == len(measured.samples_ms)
