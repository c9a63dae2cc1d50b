"""Where OpenVINO's rewrites leave each source node: values held against what the rewrite does, on small graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from core.backends.base import BuildConfig, Engine, backend_named
from core.backends.openvino._names import LayerNames
from core.base.progress import silent
from core.graph.engine_graph import EngineGraph, Fate
from tests.asked_models import INT64, info, model, node, saved

BACKEND = backend_named("openvino")
RANDOM = np.random.default_rng(0)


def built(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> Engine:
    source = saved(folder / "m.onnx", model(nodes, inputs, outputs, weights, opset))
    (folder / "engine").mkdir()
    return BACKEND.build(source, BuildConfig(), folder / "engine", silent)


def by_kind(graph: EngineGraph) -> list[tuple[str, tuple[str, ...]]]:
    return [(layer.kind, layer.source_nodes) for layer in graph.layers]


def test_outputs_of_64_bits_keep_their_nodes(tmp_path: Path) -> None:
    engine = built(
        tmp_path,
        [node("Add", "a b", "s", "sum"), node("Mul", "a b", "p", "product")],
        [info("a", INT64, (3,)), info("b", INT64, (3,))],
        [info("s", INT64, (3,)), info("p", INT64, (3,))],
    )
    graph = BACKEND.describe(engine)
    assert not graph.loose_nodes
    assert sorted(names for kind, names in by_kind(graph) if kind != "Convert") == [("product",), ("sum",)]
    assert {names for kind, names in by_kind(graph) if kind == "Convert"} == {()}
    times = BACKEND.layer_times(engine, {name: np.arange(3) for name in "ab"}, 2)
    assert times.keys() <= {layer.name for layer in graph.layers}
    assert "s.0" in times


def test_every_layer_of_a_decomposed_node_has_it(tmp_path: Path) -> None:
    """Axes across the batch are none of the layer that normalizes: sums, differences and roots are left in its place."""
    engine = built(
        tmp_path,
        [
            node("Exp", "x", "e", "before"),
            node("MeanVarianceNormalization", "e", "n", "normal", axes=[0, 2, 3]),
            node("Relu", "n", "y", "after"),
        ],
        [info("x", shape=(3, 3, 4, 4))],
        [info("y", shape=(3, 3, 4, 4))],
    )
    graph = BACKEND.describe(engine)
    assert len([layer for layer in graph.layers if "normal" in layer.source_nodes]) >= 3
    assert all(layer.source_nodes for layer in graph.layers)
    assert not graph.loose_nodes


def test_a_mask_of_shapes_is_held_and_not_carried(tmp_path: Path) -> None:
    engine = built(
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
    graph = BACKEND.describe(engine)
    assert [layer.source_nodes for layer in graph.layers] == [("sum",)]
    assert {one.name: one.fate for one in graph.loose_nodes} == dict.fromkeys(("lengths", "ones", "halves"), Fate.FOLDED)


class _Op:
    """An operation of a runtime model, as far as names go."""

    def __init__(self, own: str, kind: str, place: int) -> None:
        self._own, self._facts = own, {"layerType": kind, "execOrder": str(place)}

    def get_friendly_name(self) -> str:
        return self._own

    def get_rt_info(self) -> dict[str, np.ndarray]:
        return {name: np.array(value) for name, value in self._facts.items()}


def test_layers_of_one_name_are_told_apart_and_so_are_their_times() -> None:
    ops = [_Op("y", "Reorder", 1), _Op("y", "Eltwise", 2), _Op("Reorder_4711", "Reorder", 3), _Op("y", "Reorder", 4)]
    names = LayerNames(ops, {"y"})
    assert [names.of(op) for op in ops] == ["y", "y#1", "Reorder_2", "y#3"]
    assert list(names.in_turn(["y", "x", "y", "Reorder_4711", "y"])) == ["y", None, "y#1", "Reorder_2", "y#3"]
