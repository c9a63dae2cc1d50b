"""Attention in the source graph, and whether an engine runs it as one kernel."""

from __future__ import annotations

import pytest

from core.analysis.finding import FindingKind
from core.analysis.findings import findings
from core.analysis.overheads.attention import attention_blocks
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode


def node(name: str, op: str, *inputs: str) -> SourceNode:
    return SourceNode(name=name, op=op, inputs=inputs, outputs=(f"{name}:0",))


def attention(at: str = "", x: str = "x") -> list[SourceNode]:
    """Q, K and V from one tensor, scaled scores with a mask, and the weighted sum."""
    nodes = [node(f"{at}{one}", "Gemm", x, f"{at}w{one}") for one in "qkv"]
    nodes += [node(f"{at}{one}t", "Transpose", f"{at}{one}:0") for one in "qkv"]
    return [
        *nodes,
        node(f"{at}scores", "MatMul", f"{at}qt:0", f"{at}kt:0"),
        node(f"{at}scaled", "Div", f"{at}scores:0", "eight"),
        node(f"{at}masked", "Add", f"{at}scaled:0", "mask"),
        node(f"{at}soft", "Softmax", f"{at}masked:0"),
        node(f"{at}sum", "MatMul", f"{at}soft:0", f"{at}vt:0"),
    ]


def layer(name: str, *nodes: str, precision: str = "float16") -> Layer:
    tensors = tuple(LayerTensor(name=f"{name} {side}", dtype=precision, shape=(1, 128, 128)) for side in ("in", "out"))
    return Layer(name=name, kind="kgen", precision=precision, inputs=tensors[:1], outputs=tensors[1:], source_nodes=nodes)


def engine(*layers: Layer, nodes: list[SourceNode] | None = None) -> EngineGraph:
    return EngineGraph(layers=layers, source_nodes=tuple(nodes or attention()))


FUSED = layer("mha", "scores", "scaled", "masked", "soft", "sum")
MERGED = layer("gemm", "q", "k", "v")


def test_a_block_is_a_softmax_between_two_products_of_computed_tensors() -> None:
    (block,) = attention_blocks(attention())
    assert (block.scores, block.softmax, block.weighted) == ("scores", "soft", "sum")
    assert block.projections == ("q", "k", "v")


def test_quantized_products_are_looked_through() -> None:
    nodes = [
        node("x_q", "QuantizeLinear", "x", "s"),
        node("x_dq", "DequantizeLinear", "x_q:0", "s"),
        *attention(x="x_dq:0"),
        node("sum_q", "QuantizeLinear", "sum:0", "s"),
    ]
    assert [block.projections for block in attention_blocks(nodes)] == [("q", "k", "v")]


@pytest.mark.parametrize(
    "nodes",
    [
        [node("fc", "Gemm", "x", "w"), node("soft", "Softmax", "fc:0")],
        [node("s", "MatMul", "x", "w"), node("soft", "Softmax", "s:0"), node("y", "MatMul", "soft:0", "v")],
        [node("soft", "Softmax", "x"), node("y", "MatMul", "soft:0", "x")],
        [node("soft", "Softmax")],
    ],
    ids=["classifier", "constant operands", "nothing before", "no input"],
)
def test_other_softmaxes_are_no_attention(nodes: list[SourceNode]) -> None:
    assert attention_blocks(nodes) == []


def test_what_fused_is_good_and_comes_last() -> None:
    (finding,) = findings(engine(MERGED, FUSED))
    assert (finding.kind, finding.good) == (FindingKind.ATTENTION_FUSED, True)
    assert finding.message == "Q, K and V of 1 attention block run as one GEMM; 1 fused attention kernel."
    assert finding.layers == ("gemm", "mha")


def test_pieces_are_told_with_what_they_move() -> None:
    pieces = [layer(name, name, precision="float32") for name in ("scores", "soft", "sum")]
    apart = next(one for one in findings(engine(MERGED, *pieces)) if one.kind is FindingKind.ATTENTION_APART)
    assert apart.moved is not None
    assert apart.moved.bytes == 6 * 4 * 128 * 128
    assert apart.message == (
        "1 attention block runs in pieces, in float32: scores, softmax and weighted sum are 3 kernels, "
        "by which 393.2 kB are read and written."
    )
    assert apart.nodes == ("scores", "sum", "soft")


def test_products_apart_are_not_called_merged() -> None:
    (finding,) = findings(engine(*(layer(name, name) for name in "qkv"), FUSED))
    assert finding.message == "1 fused attention kernel."


def test_a_block_of_many_softmaxes_tells_nothing() -> None:
    nodes = [*attention("a"), *attention("b", x="asum:0")]
    one = layer("myelin", *(node.name for node in nodes))
    assert {finding.kind for finding in findings(engine(one, nodes=nodes))} <= {FindingKind.OPAQUE}


def test_a_node_that_is_nowhere_tells_nothing() -> None:
    assert findings(engine(layer("scores", "scores"), layer("sum", "sum"))) == []
