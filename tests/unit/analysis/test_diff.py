"""The engine diff: connected components, against an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.analysis.diff import DiffRow, EngineDiff, diff_engines
from core.graph.engine_graph import EngineGraph, Fate, Layer, LooseNode, SourceNode

OPS = {"conv1": "Conv", "bn1": "BatchNormalization", "relu1": "Relu", "conv2": "Conv", "add": "Add", "relu2": "Relu"}


def engine(*layers: tuple[str, str, float | None], nodes: dict[str, str] | None = None) -> EngineGraph:
    """Layers as (name, "node node", ms); nodes in none are folded."""
    nodes = OPS if nodes is None else nodes
    made = tuple(
        Layer(name=name, kind="K", precision="float32", time_ms=ms, source_nodes=tuple(text.split())) for name, text, ms in layers
    )
    carried = {node for layer in made for node in layer.source_nodes}
    return EngineGraph(
        layers=made,
        source_nodes=tuple(SourceNode(name=name, op=op) for name, op in nodes.items()),
        loose_nodes=tuple(LooseNode(name=n, op=op, fate=Fate.FOLDED, reason="") for n, op in nodes.items() if n not in carried),
    )


def by_nodes(found: EngineDiff) -> dict[str, DiffRow]:
    return {" ".join(row.source_nodes): row for row in found.rows}


def test_equal_fusions_stand_side_by_side() -> None:
    a = engine(("a0", "conv1 bn1 relu1", 3.0), ("a1", "conv2 add relu2", 2.0))
    b = engine(("b0", "conv1 bn1 relu1", 1.0), ("b1", "conv2 add relu2", 2.5))
    rows = by_nodes(diff_engines(a, b))
    first = rows["conv1 bn1 relu1"]
    assert (first.a_layers, first.b_layers, first.a_ms, first.b_ms) == (("a0",), ("b0",), 3.0, 1.0)
    assert (first.delta_ms, first.regrouped, first.title) == (-2.0, False, "Conv + BatchNormalization + Relu")
    assert rows["conv2 add relu2"].ratio == 1.25


def test_different_fusions_meet_in_the_smallest_common_group() -> None:
    a = engine(("a0", "conv1 bn1", 3.0), ("a1", "relu1", 1.0), ("a2", "conv2", 2.0), ("a3", "add relu2", 1.0))
    b = engine(("b0", "conv1", 2.0), ("b1", "bn1 relu1", 1.0), ("b2", "conv2 add", 2.0), ("b3", "relu2", 0.5))
    found = diff_engines(a, b)
    rows = by_nodes(found)
    assert set(rows) == {"conv1 bn1 relu1", "conv2 add relu2"}
    first = rows["conv1 bn1 relu1"]
    assert (first.a_layers, first.b_layers, first.a_ms, first.b_ms, first.regrouped) == (
        ("a0", "a1"),
        ("b0", "b1"),
        4.0,
        3.0,
        True,
    )
    assert found.notes == ()


def test_what_one_engine_folded_costs_it_nothing() -> None:
    a = engine(("a0", "conv1", 1.0), ("a1", "bn1", 0.5))
    b = engine(("b0", "conv1", 1.0))
    row = by_nodes(diff_engines(a, b))["bn1"]
    assert (row.a_layers, row.b_layers, row.a_ms, row.b_ms, row.delta_ms) == (("a1",), (), 0.5, 0.0, -0.5)
    assert row.ratio is None


def test_layers_without_source_nodes_make_a_row_of_their_own() -> None:
    a = engine(("a0", "conv1", 1.0), ("reorder", "", 0.25), ("reorder2", "", 0.25))
    row = by_nodes(diff_engines(a, engine(("b0", "conv1", 1.0))))[""]
    assert (row.title, row.a_layers, row.a_ms, row.b_ms, row.regrouped) == (
        "No source node",
        ("reorder", "reorder2"),
        0.5,
        0.0,
        False,
    )


def test_the_largest_difference_comes_first() -> None:
    a = engine(("a0", "conv1", 1.0), ("a1", "conv2", 5.0), ("a2", "add", 1.0))
    b = engine(("b0", "conv1", 1.1), ("b1", "conv2", 2.0), ("b2", "add", 1.5))
    assert [row.source_nodes[0] for row in diff_engines(a, b).rows] == ["conv2", "add", "conv1"]


def test_an_engine_without_times_is_not_measured() -> None:
    found = diff_engines(engine(("a0", "conv1", 1.0)), engine(("b0", "conv1", None), ("b1", "add", None)))
    row = by_nodes(found)["conv1"]
    assert (row.a_ms, row.b_ms, row.delta_ms, row.ratio) == (1.0, None, None, None)
    assert by_nodes(found)["add"].a_ms == 0.0
    assert "Engine B has no layer times." in found.notes


def test_engines_of_different_graphs_are_told() -> None:
    found = diff_engines(engine(("a0", "x", 1.0), nodes={"x": "Conv"}), engine(("b0", "y", 1.0), nodes={"y": "Conv"}))
    assert found.shared_nodes == 0
    assert "share no source node" in found.notes[0]
    part = diff_engines(engine(("a0", "x", 1.0), nodes={"x": "Conv", "z": "Add"}), engine(("b0", "x", 1.0), nodes={"x": "Conv"}))
    assert part.notes[0] == "Source nodes in both graphs: 1, of 2 in A and 1 in B."


def test_quantizing_nodes_of_one_graph_leave_the_shared_ones_side_by_side() -> None:
    a = engine(("conv", "conv1 bn1 relu1", 3.0), ("rest", "conv2 add relu2", 2.0))
    quantizing = {f"q{number}": "QuantizeLinear" for number in range(6)}
    kernels = [(name, name, 0.1) for name in quantizing]
    found = diff_engines(
        a, engine(("conv", "conv1 bn1 relu1", 1.0), ("rest", "conv2 add relu2", 1.0), *kernels, nodes=OPS | quantizing)
    )
    assert not found.by_layers
    assert found.shared_nodes == 6
    rows = by_nodes(found)
    assert (rows["conv1 bn1 relu1"].a_layers, rows["conv1 bn1 relu1"].b_layers) == (("conv",), ("conv",))
    assert rows["q0"].a_layers == ()


def test_big_groups_have_short_titles() -> None:
    nodes = {f"n{i}": op for i, op in enumerate(["Conv"] * 5 + ["Relu"] * 3 + ["Add"])}
    row = diff_engines(engine(("a0", " ".join(nodes), 1.0), nodes=nodes), engine(("b0", " ".join(nodes), 1.0), nodes=nodes)).rows[
        0
    ]
    assert row.title == "5 Conv, 3 Relu, Add"


def test_empty_engines() -> None:
    assert diff_engines(engine(nodes={}), engine(nodes={})).rows == ()


@pytest.mark.parametrize("seed", range(8))
def test_random_fusions_against_scipys_components(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = {f"n{i}": "Op" for i in range(40)}

    def fused(prefix: str) -> EngineGraph:
        """Runs of neighbours in one layer, some nodes in none, a few in two."""
        layers, names = [], list(nodes)
        while names:
            size = int(rng.integers(1, 5))
            taken, names = names[:size], names[size:]
            if rng.random() < 0.85:
                shared = [str(rng.choice(list(nodes)))] if rng.random() < 0.15 else []
                layers.append((f"{prefix}{len(layers)}", " ".join(dict.fromkeys(taken + shared)), rng.random()))
        return engine(*layers, nodes=nodes)

    a, b = fused("a"), fused("b")
    found = diff_engines(a, b)
    layers = (*a.layers, *b.layers)
    ids = {name: i for i, name in enumerate([*nodes, *(layer.name for layer in layers)])}
    edges = [(ids[layer.name], ids[node]) for layer in layers for node in layer.source_nodes]
    left, right = np.array(edges).T
    _, labels = connected_components(coo_array((np.ones(len(edges)), (left, right)), shape=(len(ids), len(ids))), directed=False)
    expected = {}
    for layer in layers:
        expected.setdefault(labels[ids[layer.name]], set()).add(layer.name)
    assert sorted(map(sorted, expected.values())) == sorted(sorted(row.a_layers + row.b_layers) for row in found.rows)
    assert sum(row.a_ms or 0 for row in found.rows) == pytest.approx(sum(layer.time_ms or 0 for layer in a.layers))
    assert sum(row.b_ms or 0 for row in found.rows) == pytest.approx(sum(layer.time_ms or 0 for layer in b.layers))
