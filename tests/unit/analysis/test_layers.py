"""Rows and totals of layers, and the findings on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.analysis.findings import FindingKind, findings
from core.analysis.layers import layer_rows, tensor_bytes, total_time_ms, totals_by_kind, totals_by_precision
from core.base.precision import Precision
from core.graph.engine_graph import EngineGraph, Fate, Layer, LayerTensor, LooseNode, SourceNode


def layer(
    name: str, kind: str = "Conv", ms: float | None = None, precision: str | None = "float32", nodes: tuple[str, ...] = ()
) -> Layer:
    return Layer(name=name, kind=kind, precision=precision, time_ms=ms, source_nodes=nodes)


def graph(*layers: Layer, unmapped: int = 0) -> EngineGraph:
    names = [node for one in layers for node in one.source_nodes]
    loose = tuple(LooseNode(name=f"lost{i}", op="Foo", fate=Fate.UNMAPPED, reason="?") for i in range(unmapped))
    sources = tuple(SourceNode(name=name, op="Conv") for name in (*dict.fromkeys(names), *(node.name for node in loose)))
    return EngineGraph(layers=layers, source_nodes=sources, loose_nodes=loose)


def kinds(of: EngineGraph, requested: Precision | None = None) -> list[FindingKind]:
    return [finding.kind for finding in findings(of, requested)]


def many(count: int, ms: float | None, kind: str = "Conv", start: int = 0) -> tuple[Layer, ...]:
    return tuple(layer(f"{kind}{i}", kind, ms) for i in range(start, start + count))


def test_rows_are_in_execution_order_with_shares() -> None:
    tensors = (LayerTensor(name="y", dtype="float16", shape=(2, 3)), LayerTensor(name="z", dtype="int64", shape=()))
    first = replace(layer("a", ms=3.0, nodes=("n1", "n2")), outputs=tensors, kernel="brgconv")
    rows = layer_rows(graph(first, layer("b", "Relu", 1.0), layer("c", "Relu", None)))
    assert [row.position for row in rows] == [1, 2, 3]
    assert [row.share for row in rows] == [0.75, 0.25, None]
    assert (rows[0].output_bytes, rows[0].output_shape, rows[0].kernel) == (12 + 8, (2, 3), "brgconv")
    assert rows[0].source_nodes == ("n1", "n2")
    assert rows[1].output_bytes is None


def test_shares_and_totals_add_up() -> None:
    rows = layer_rows(
        graph(
            layer("a", ms=3.0, nodes=("x", "y")),
            layer("b", "Relu", 0.5, "int8"),
            layer("c", ms=1.5, nodes=("y",), precision=None),
        )
    )
    assert sum(row.share or 0 for row in rows) == pytest.approx(1.0)
    by_kind = totals_by_kind(rows)
    assert [(t.key, t.layers, t.time_ms, t.source_nodes) for t in by_kind] == [("Conv", 2, 4.5, 2), ("Relu", 1, 0.5, 0)]
    assert [t.key for t in totals_by_precision(rows)] == ["float32", "not told", "int8"]
    assert sum(t.share or 0 for t in totals_by_precision(rows)) == pytest.approx(1.0)


def test_nothing_timed_is_none_and_never_zero() -> None:
    of = graph(layer("a"), layer("b"), layer("c", "Relu"))
    assert total_time_ms(of) is None
    assert {row.share for row in layer_rows(of)} == {None}
    assert [(t.key, t.time_ms, t.share) for t in totals_by_kind(layer_rows(of))] == [("Conv", None, None), ("Relu", None, None)]
    assert layer_rows(graph()) == []
    assert layer_rows(graph(layer("a", ms=0.0)))[0].share is None


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("float32", (2, 3), 24), ("bfloat16", (4,), 8), ("bool", (), 1), ("float32", (0, 3), 0), ("string", (3,), None),
     (None, (3,), None),
     ("float32", None, None), ("mystery", (3,), None)],
)  # fmt: skip
def test_bytes_of_a_tensor(dtype: str | None, shape: tuple[int, ...] | None, size: int | None) -> None:
    assert tensor_bytes(LayerTensor(name="t", dtype=dtype, shape=shape)) == size


def test_a_calm_engine_has_no_findings() -> None:
    assert findings(graph(*many(50, 1.0)), Precision.FP32) == []
    assert findings(graph()) == []


def test_dominant_layers_are_named_heaviest_first() -> None:
    found = findings(graph(*many(70, 1.0), layer("big", ms=10.0), layer("bigger", ms=20.0)))
    assert [finding.kind for finding in found] == [FindingKind.DOMINANT]
    assert found[0].layers == ("bigger", "big")
    assert found[0].message == "2 layers take 30% of the time: bigger (20%), big (10%)."
    assert found[0].share == pytest.approx(0.3)


def test_few_layers_are_not_all_dominant() -> None:
    assert kinds(graph(*many(5, 1.0))) == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("Reorder", FindingKind.REFORMATS), ("ReorderInput", FindingKind.REFORMATS), ("Reformat", FindingKind.REFORMATS),
     ("Cast", FindingKind.CASTS), ("Convert", FindingKind.CASTS), ("Reshape", FindingKind.SHAPES),
     ("Transpose", FindingKind.SHAPES)],
)  # fmt: skip
def test_overheads_are_found_by_their_share_of_time(kind: str, expected: FindingKind) -> None:
    enough = findings(graph(*many(90, 1.0), *many(4, 1.0, kind)))
    assert [finding.kind for finding in enough] == [expected]
    assert enough[0].message.startswith("4 of 94 layers only")
    assert kinds(graph(*many(90, 1.0), *many(4, 0.1, kind))) == []


def test_overheads_are_counted_where_nothing_is_timed() -> None:
    assert kinds(graph(*many(18, None), *many(2, None, "Reorder"))) == [FindingKind.REFORMATS]
    assert kinds(graph(*many(19, None), *many(1, None, "Reorder"))) == []


def test_convolutions_are_no_casts() -> None:
    assert kinds(graph(*many(30, 1.0, "Convolution"))) == []


def test_many_tiny_layers() -> None:
    of = graph(*many(15, 1.0), *many(60, 0.02, "Add"))
    assert kinds(of) == [FindingKind.TINY]
    assert "60 of 75 layers take less than 0.2% each, together 7%" in findings(of)[0].message


def test_an_opaque_block_is_told() -> None:
    block = layer("myelin", "ForeignNode", 1.0, nodes=tuple(f"n{i}" for i in range(30)))
    found = findings(graph(block, layer("a", ms=1.0, nodes=("m",))))
    assert [finding.kind for finding in found] == [FindingKind.OPAQUE]
    assert found[0].layers == ("myelin",)


def test_unmapped_nodes_are_told() -> None:
    found = findings(graph(*many(3, 1.0), unmapped=5))
    assert [finding.kind for finding in found] == [FindingKind.UNMAPPED]
    assert found[0].message == "5 of 5 could not be traced to a layer: lost0, lost1, lost2 and others.".replace(
        "5 of", "5 nodes of"
    )


def test_the_precision_that_ran_is_held_against_the_one_asked_for() -> None:
    wide = [replace(one, source_nodes=(f"w{one.name}",)) for one in many(30, 1.0)]
    narrow = [replace(one, precision="float16", name=f"h{one.name}", source_nodes=(f"n{one.name}",)) for one in many(30, 1.0)]
    of = graph(*wide, *narrow)
    found = findings(of, Precision.FP16)
    assert [finding.kind for finding in found] == [FindingKind.PRECISION]
    assert found[0].message.startswith("30 layers asked for in float16 ran in float32, 50% of the time: nodes wConv0, wConv1")
    assert found[0].layers == tuple(one.name for one in wide)
    assert FindingKind.PRECISION in kinds(of, Precision.FP32)
    assert FindingKind.PRECISION not in kinds(of)


def test_findings_come_with_the_costliest_first() -> None:
    found = findings(graph(*many(60, 1.0), layer("big", ms=30.0), *many(6, 1.0, "Reorder"), unmapped=1))
    assert [finding.kind for finding in found] == [FindingKind.DOMINANT, FindingKind.REFORMATS, FindingKind.UNMAPPED]
    assert all(finding.hint for finding in found)
