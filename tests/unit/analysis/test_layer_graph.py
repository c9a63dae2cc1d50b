"""Layers as a graph: edges, neighbourhoods, insides, search, bars, source nodes."""

from __future__ import annotations

import pytest

from bench.stored_builds import chain, resnet
from core.analysis.bars import layer_bars
from core.analysis.colours import ColourBy, Colouring
from core.analysis.layer_graph import inside, layer_edges, matching, neighbourhood, next_match, whole
from core.analysis.layers import layer_rows
from core.analysis.sources import IN_A_LAYER, source_rows
from core.graph.engine_graph import EngineGraph, Fate, Layer, LayerTensor, LooseNode, SourceNode


def layer(name: str, reads: str = "", writes: str = "", nodes: tuple[str, ...] = (), ms: float | None = None) -> Layer:
    def tensors(names: str) -> tuple[LayerTensor, ...]:
        return tuple(LayerTensor(name=one) for one in names.split())

    return Layer(name=name, kind="Conv", inputs=tensors(reads), outputs=tensors(writes), source_nodes=nodes, time_ms=ms)


def node(name: str, reads: str, writes: str) -> SourceNode:
    return SourceNode(name=name, op="Op", inputs=tuple(reads.split()), outputs=tuple(writes.split()))


def test_edges_follow_the_tensors() -> None:
    layers = (layer("a", "x", "p"), layer("b", "p", "q"), layer("c", "p q", "y"))
    assert layer_edges(EngineGraph(layers=layers, source_nodes=())) == ((1, 2), (1, 3), (2, 3))


def test_a_tensor_written_twice_comes_from_the_latest_writer() -> None:
    layers = (layer("a", "x", "p"), layer("b", "p", "p"), layer("c", "p", "y"))
    assert layer_edges(EngineGraph(layers=layers, source_nodes=())) == ((1, 2), (2, 3))


def test_without_tensors_edges_follow_the_source_nodes() -> None:
    nodes = (node("n1", "x", "p"), node("n2", "p", "q"), node("n3", "q p", "y"))
    layers = (layer("a", nodes=("n1", "n2")), layer("b", nodes=("n3",)))
    assert layer_edges(EngineGraph(layers=layers, source_nodes=nodes)) == ((1, 2),)


def test_without_anything_told_one_follows_the_other() -> None:
    assert layer_edges(EngineGraph(layers=(layer("a"), layer("b"), layer("c")), source_nodes=())) == ((1, 2), (2, 3))


def test_every_edge_of_a_real_engine_leads_forward_and_all_but_a_few_layers_hang_together() -> None:
    graph = resnet("fp16")
    edges = layer_edges(graph)
    assert all(first < second for first, second in edges)
    assert len({end for edge in edges for end in edge}) == len(graph.layers)


def test_a_neighbourhood_holds_what_is_near_and_what_is_tied_from_afar() -> None:
    edges = ((1, 2), (2, 3), (3, 4), (1, 50), (49, 50), (50, 51))
    found = neighbourhood(100, edges, 50, radius=2)
    assert found.positions == (1, 48, 49, 50, 51, 52)
    assert found.edges == ((1, 50), (49, 50), (50, 51))
    assert (found.before, found.after) == (47, 48)


def test_a_neighbourhood_stays_small_around_a_layer_that_everything_reads() -> None:
    edges = tuple((1, reader) for reader in range(2, 5000))
    assert len(neighbourhood(5000, edges, 1, radius=10).positions) <= 21


def test_the_whole_is_everything() -> None:
    assert whole(3, ((1, 2),)).positions == (1, 2, 3)


def test_the_inside_of_a_layer_is_its_nodes_in_order() -> None:
    nodes = {one.name: one for one in (node("n1", "x", "p"), node("n2", "p", "q"), node("n3", "p q", "y"))}
    found = inside(layer("a", nodes=("n1", "n2", "n3", "gone")), nodes, limit=2)
    assert [one.name for one in found.nodes] == ["n1", "n2"]
    assert (found.edges, found.more) == (((0, 1),), 1)


def test_search_finds_layers_by_their_source_nodes_and_wraps() -> None:
    rows = layer_rows(chain(100))
    assert [row.position for row in matching(rows, "RELU42 ")] == [42]
    assert next_match(rows, "conv9", 9) == 90
    assert next_match(rows, "conv9", 99) == 9
    assert next_match(rows, "nothing like it", 1) is None
    assert len(matching(rows, " ")) == 100


@pytest.mark.parametrize("count", [1, 599, 601, 10_000])
def test_bars_stay_few_and_add_up(count: int) -> None:
    rows = layer_rows(chain(count))
    bars = layer_bars(rows, Colouring(rows, ColourBy.PRECISION).category, limit=600)
    assert len(bars) <= 600
    assert (bars[0].first, bars[-1].last) == (1, count)
    assert sum(bar.time_ms or 0 for bar in bars) == pytest.approx(sum(row.time_ms or 0 for row in rows))
    assert all(bar.first <= bar.heaviest <= bar.last for bar in bars)


@pytest.mark.parametrize("by", list(ColourBy))
def test_every_layer_has_a_colour_of_the_legend(by: ColourBy) -> None:
    rows = layer_rows(resnet("fp16"))
    colouring = Colouring(rows, by)
    assert {colouring.category(row) for row in rows} == set(colouring.legend)


def test_source_rows_tell_layer_or_reason() -> None:
    nodes = (node("n1", "x", "p"), node("n2", "p", "y"), node("n3", "", "z"))
    lost = (LooseNode(name="n3", op="Op", fate=Fate.FOLDED, reason="Its inputs are constants."),)
    rows = source_rows(
        EngineGraph(layers=(layer("a", nodes=("n1",)), layer("b", nodes=("n1", "n2"))), source_nodes=nodes, loose_nodes=lost)
    )
    assert [(row.layers, row.fate, row.reason) for row in rows] == [
        ((1, 2), IN_A_LAYER, ""),
        ((2,), IN_A_LAYER, ""),
        ((), "folded", "Its inputs are constants."),
    ]
