"""Where ONNX Runtime's rewrites leave each source node: values held against what the rewrite does, on small graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.backends.base import BuildConfig, backend_named
from core.base.progress import silent
from core.graph.engine_graph import EngineGraph, Fate
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx

BACKEND = backend_named("onnxruntime")
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
RANDOM = np.random.default_rng(0)


def info(name: str, *shape: int, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(name: str, op: str, reads: str, makes: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, reads.split(), makes.split(), name=name, **attributes)


def described(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> EngineGraph:
    stored = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, stored), opset_imports=[helper.make_opsetid("", opset)]
    )
    model.ir_version = 8
    path = folder / "m.onnx"
    onnx.save(model, path)
    (folder / "engine").mkdir()
    source = Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path, weights=False)))
    return BACKEND.describe(BACKEND.build(source, BuildConfig(), folder / "engine", silent))


def carried(graph: EngineGraph) -> list[tuple[str, tuple[str, ...]]]:
    return [(layer.kind, layer.source_nodes) for layer in graph.layers]


def weights(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_a_shuffle_of_channels_takes_nothing_from_the_layer_before_it(tmp_path: Path) -> None:
    """Reshape, Transpose, Reshape and two Gathers become a Reshape, a Split and two Squeezes, all under names of their own."""
    graph = described(
        tmp_path,
        [
            node("join", "Concat", "a b", "joined", axis=1),
            node("in_pairs", "Reshape", "joined pairs", "paired"),
            node("turned", "Transpose", "paired", "swapped", perm=[1, 0, 2]),
            node("in_halves", "Reshape", "swapped halves", "halved"),
            node("first", "Gather", "halved zero", "y", axis=0),
            node("second", "Gather", "halved one", "z", axis=0),
        ],
        [info("a", 1, 4, 3, 3), info("b", 1, 4, 3, 3)],
        [info("y", 1, 4, 3, 3), info("z", 1, 4, 3, 3)],
        {
            "pairs": np.array([4, 2, 9]),
            "halves": np.array([2, -1, 4, 3, 3]),
            "zero": np.array(0),
            "one": np.array(1),
        },
    )
    assert carried(graph)[0] == ("Concat", ("join",))
    assert dict(carried(graph))["Reshape"] == ("in_pairs", "turned", "in_halves")
    assert {name for kind, names in carried(graph) if kind == "Squeeze" for name in names} == {"first", "second"}
    assert not graph.unmapped
    assert all(layer.source_nodes for layer in graph.layers)


@pytest.mark.parametrize("times", [1, 2])
def test_every_layer_of_a_function_has_the_node_that_it_was(tmp_path: Path, times: int) -> None:
    nodes = [node(f"n{place}", "GroupNormalization", f"t{place} s b", f"t{place + 1}", num_groups=2) for place in range(times)]
    named = {"s": weights(4), "b": weights(4)}
    graph = described(tmp_path, nodes, [info("t0", 1, 4, 3, 3)], [info(f"t{times}", 1, 4, 3, 3)], named, opset=21)
    by_node = {f"n{place}": [layer for layer in graph.layers if layer.source_nodes == (f"n{place}",)] for place in range(times)}
    assert sum(map(len, by_node.values())) == len(graph.layers)
    assert len({len(found) for found in by_node.values()}) == 1
    assert [layer.kind for layer in by_node["n0"]].count("Sqrt") == 1


def test_a_product_that_took_a_sum_in_has_both_and_so_do_the_reshapes_around_it(tmp_path: Path) -> None:
    graph = described(
        tmp_path,
        [
            node("product", "MatMul", "x w", "m"),
            node("bias", "Add", "m b", "a"),
            node("active", "Relu", "a", "r"),
            node("last", "MatMul", "r v", "y"),
        ],
        [info("x", 2, 4, 16)],
        [info("y", 2, 4, 8)],
        {"w": weights(16, 32), "b": weights(32), "v": weights(32, 8)},
    )
    assert carried(graph) == [
        ("Reshape", ("product",)),
        ("Gemm", ("product", "bias")),
        ("Reshape", ("bias",)),
        ("Relu", ("active",)),
        ("MatMul", ("last",)),
    ]


def test_a_product_of_integers_has_all_up_to_the_grid_that_it_writes_on(tmp_path: Path) -> None:
    grid = {
        "out_scale": np.float32(0.03),
        "out_zero": np.uint8(0),
        "scale": np.float32(0.02),
        "zero": np.uint8(128),
        "w_scale": np.float32(0.01),
        "w_zero": np.int8(0),
    }
    stored = {"w": RANDOM.integers(-127, 127, (16, 8)).astype(np.int8), "b": weights(8)}
    graph = described(
        tmp_path,
        [
            node("in_q", "QuantizeLinear", "x scale zero", "xq"),
            node("in_dq", "DequantizeLinear", "xq scale zero", "xd"),
            node("w_dq", "DequantizeLinear", "w w_scale w_zero", "wd"),
            node("product", "MatMul", "xd wd", "m"),
            node("bias", "Add", "m b", "a"),
            node("active", "Relu", "a", "r"),
            node("out_q", "QuantizeLinear", "r out_scale out_zero", "rq"),
            node("out_dq", "DequantizeLinear", "rq out_scale out_zero", "y"),
        ],
        [info("x", 4, 16)],
        [info("y", 4, 8)],
        {name: np.asarray(value) for name, value in {**grid, **stored}.items()},
    )
    assert carried(graph) == [
        ("QuantizeLinear", ("in_q",)),
        ("QGemm", ("in_dq", "w_dq", "product", "bias", "active", "out_q")),
        ("DequantizeLinear", ("out_dq",)),
    ]


def test_what_the_engine_holds_was_worked_out_by_the_build(tmp_path: Path) -> None:
    """A mask that depends on shapes alone is a constant of the engine, and no work of the layer that reads it."""
    graph = described(
        tmp_path,
        [
            node("lengths", "Shape", "x", "s"),
            node("ones", "ConstantOfShape", "s", "o", value=numpy_helper.from_array(np.ones(1, np.float32))),
            node("halves", "Mul", "o half", "h"),
            node("sum", "Add", "x h", "y"),
        ],
        [info("x", 2, 3)],
        [info("y", 2, 3)],
        {"half": np.array(0.5, np.float32)},
    )
    assert carried(graph) == [("Add", ("sum",))]
    assert {one.name: one.fate for one in graph.loose_nodes} == dict.fromkeys(("lengths", "ones", "halves"), Fate.FOLDED)


def test_a_cast_that_both_its_readers_see_through_is_no_work(tmp_path: Path) -> None:
    graph = described(
        tmp_path,
        [
            node("same", "Cast", "x", "c", to=FLOAT),
            node("up", "Exp", "c", "e"),
            node("down", "Neg", "c", "n"),
            node("sum", "Add", "e n", "y"),
        ],
        [info("x", 2, 3)],
        [info("y", 2, 3)],
    )
    assert [(one.name, one.fate) for one in graph.loose_nodes] == [("same", Fate.ELIMINATED)]


def test_a_branch_reads_what_it_takes_from_outside(tmp_path: Path) -> None:
    def branch(op: str) -> onnx.GraphProto:
        made = helper.make_node(op, ["wide"], [f"{op}_out"], name=f"{op}_inside")
        return helper.make_graph([made], op, [], [helper.make_tensor_value_info(f"{op}_out", FLOAT, None)])

    graph = described(
        tmp_path,
        [
            node("widen", "Exp", "x", "wide"),
            node("choose", "If", "flag", "y", then_branch=branch("Relu"), else_branch=branch("Tanh")),
        ],
        [info("x", 3), info("flag", kind=TensorProto.BOOL)],
        [info("y", 3)],
    )
    assert [tensor.name for tensor in graph.layers[-1].inputs] == ["flag", "wide"]
