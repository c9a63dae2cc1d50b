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
from tests.asked_models import FLOAT, info, model, node, saved

BACKEND = backend_named("onnxruntime")
RANDOM = np.random.default_rng(0)


def described(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> EngineGraph:
    source = saved(folder / "m.onnx", model(nodes, inputs, outputs, weights, opset))
    (folder / "engine").mkdir()
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
            node("Concat", "a b", "joined", "join", axis=1),
            node("Reshape", "joined pairs", "paired", "in_pairs"),
            node("Transpose", "paired", "swapped", "turned", perm=[1, 0, 2]),
            node("Reshape", "swapped halves", "halved", "in_halves"),
            node("Gather", "halved zero", "y", "first", axis=0),
            node("Gather", "halved one", "z", "second", axis=0),
        ],
        [info("a", shape=(1, 4, 3, 3)), info("b", shape=(1, 4, 3, 3))],
        [info("y", shape=(1, 4, 3, 3)), info("z", shape=(1, 4, 3, 3))],
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
    nodes = [node("GroupNormalization", f"t{place} s b", f"t{place + 1}", f"n{place}", num_groups=2) for place in range(times)]
    named = {"s": weights(4), "b": weights(4)}
    graph = described(tmp_path, nodes, [info("t0", shape=(1, 4, 3, 3))], [info(f"t{times}", shape=(1, 4, 3, 3))], named, opset=21)
    by_node = {f"n{place}": [layer for layer in graph.layers if layer.source_nodes == (f"n{place}",)] for place in range(times)}
    assert sum(map(len, by_node.values())) == len(graph.layers)
    assert len({len(found) for found in by_node.values()}) == 1
    assert [layer.kind for layer in by_node["n0"]].count("Sqrt") == 1


def test_a_product_that_took_a_sum_in_has_both_and_so_do_the_reshapes_around_it(tmp_path: Path) -> None:
    graph = described(
        tmp_path,
        [
            node("MatMul", "x w", "m", "product"),
            node("Add", "m b", "a", "bias"),
            node("Relu", "a", "r", "active"),
            node("MatMul", "r v", "y", "last"),
        ],
        [info("x", shape=(2, 4, 16))],
        [info("y", shape=(2, 4, 8))],
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
            node("QuantizeLinear", "x scale zero", "xq", "in_q"),
            node("DequantizeLinear", "xq scale zero", "xd", "in_dq"),
            node("DequantizeLinear", "w w_scale w_zero", "wd", "w_dq"),
            node("MatMul", "xd wd", "m", "product"),
            node("Add", "m b", "a", "bias"),
            node("Relu", "a", "r", "active"),
            node("QuantizeLinear", "r out_scale out_zero", "rq", "out_q"),
            node("DequantizeLinear", "rq out_scale out_zero", "y", "out_dq"),
        ],
        [info("x", shape=(4, 16))],
        [info("y", shape=(4, 8))],
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
            node("Shape", "x", "s", "lengths"),
            node("ConstantOfShape", "s", "o", "ones", value=numpy_helper.from_array(np.ones(1, np.float32))),
            node("Mul", "o half", "h", "halves"),
            node("Add", "x h", "y", "sum"),
        ],
        [info("x", shape=(2, 3))],
        [info("y", shape=(2, 3))],
        {"half": np.array(0.5, np.float32)},
    )
    assert carried(graph) == [("Add", ("sum",))]
    assert {one.name: one.fate for one in graph.loose_nodes} == dict.fromkeys(("lengths", "ones", "halves"), Fate.FOLDED)


def test_a_cast_that_both_its_readers_see_through_is_no_work(tmp_path: Path) -> None:
    graph = described(
        tmp_path,
        [
            node("Cast", "x", "c", "same", to=FLOAT),
            node("Exp", "c", "e", "up"),
            node("Neg", "c", "n", "down"),
            node("Add", "e n", "y", "sum"),
        ],
        [info("x", shape=(2, 3))],
        [info("y", shape=(2, 3))],
    )
    assert [(one.name, one.fate) for one in graph.loose_nodes] == [("same", Fate.ELIMINATED)]


def test_a_branch_reads_what_it_takes_from_outside(tmp_path: Path) -> None:
    def branch(op: str) -> onnx.GraphProto:
        made = helper.make_node(op, ["wide"], [f"{op}_out"], name=f"{op}_inside")
        return helper.make_graph([made], op, [], [helper.make_tensor_value_info(f"{op}_out", FLOAT, None)])

    graph = described(
        tmp_path,
        [
            node("Exp", "x", "wide", "widen"),
            node("If", "flag", "y", "choose", then_branch=branch("Relu"), else_branch=branch("Tanh")),
        ],
        [info("x", shape=(3,)), info("flag", TensorProto.BOOL, ())],
        [info("y", shape=(3,))],
    )
    assert [tensor.name for tensor in graph.layers[-1].inputs] == ["flag", "wide"]
