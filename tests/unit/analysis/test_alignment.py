"""Engines of one model whose graphs share no node: matched by names, kinds and shapes, or not at all."""

from __future__ import annotations

import pytest

from core.analysis.diff import MATCHED, NOTHING_SHARED, aligns, diff_engines
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode


def engine(*layers: tuple[str, tuple[int, ...], float | None, str]) -> EngineGraph:
    """Layers as (kind, output shape, ms, source node)."""
    made = tuple(
        Layer(
            name=f"{kind}-{place}",
            kind=kind,
            time_ms=time,
            outputs=(LayerTensor(name=f"t{place}", shape=shape),),
            source_nodes=(node,) if node else (),
        )
        for place, (kind, shape, time, node) in enumerate(layers)
    )
    return EngineGraph(layers=made, source_nodes=tuple(SourceNode(name=node, op=kind) for kind, _, _, node in layers if node))


CONVERTED = engine(
    ("Conv", (1, 32, 8, 8), 3.0, "StatefulPartitionedCall/net/conv1/Conv"),
    ("ReorderOutput", (1, 8, 8, 32), 0.5, ""),
    ("Conv", (1, 64, 4, 4), 2.0, "StatefulPartitionedCall/net/conv2/Conv"),
    ("Reshape", (1, 256), 0.25, "StatefulPartitionedCall/net/flatten/Reshape"),
    ("Gemm", (1, 10), 1.0, "StatefulPartitionedCall/net/dense/MatMul"),
    ("Softmax", (1, 10), 0.125, "StatefulPartitionedCall/net/dense/Softmax"),
)
STRAIGHT = engine(
    ("Reorder", (1, 8, 8, 1), 0.25, ""),
    ("Convolution", (1, 8, 8, 32), 1.0, "Convolution_106"),
    ("Convolution", (1, 64, 4, 4), 4.0, "Convolution_116"),
    ("Reshape", (1, 256), 0.5, "net/flatten/Reshape"),
    ("FullyConnected", (1, 10), 0.5, "Multiply_3"),
    ("Softmax", (1, 10), 0.25, "net/dense/Softmax"),
)


def test_a_converted_graph_and_a_savedmodel_read_straight_are_cut_where_they_match() -> None:
    found = diff_engines(CONVERTED, STRAIGHT)
    assert sorted((row.a_ms, row.b_ms) for row in found.rows) == [
        (0.125, 0.25), (0.25, 0.5), (1.0, 0.5), (2.5, 4.0), (3.0, 1.25)
    ]  # fmt: skip
    assert (found.rows[0].a_ms, found.rows[0].b_ms) == (3.0, 1.25)
    assert (found.by_layers, found.shared_nodes, found.notes[0]) == (True, 0, MATCHED)
    assert all(row.a_layers and row.b_layers for row in found.rows)
    assert aligns(CONVERTED, STRAIGHT)


def test_where_nothing_matches_there_is_no_table() -> None:
    other = engine(("Convolution", (1, 16, 3, 3), 1.0, "c1"), ("Convolution", (1, 8, 2, 2), 1.0, "c2"))
    found = diff_engines(CONVERTED, other)
    assert (found.rows, found.notes[0]) == ((), NOTHING_SHARED)
    assert not aligns(CONVERTED, other)


def test_one_opaque_layer_matches_nothing() -> None:
    opaque = engine(("Subgraph", (1, 10), 1.0, "all"))
    assert diff_engines(CONVERTED, opaque).rows == ()


@pytest.mark.parametrize("nodes", [("a", "b"), ("a", "c")])
def test_a_shared_node_is_enough_for_the_exact_diff(nodes: tuple[str, str]) -> None:
    one, two = (engine(("Add", (4,), 1.0, node), ("Mul", (4,), 1.0, "a")) for node in nodes)
    assert not diff_engines(one, two).by_layers
    assert aligns(one, two)
