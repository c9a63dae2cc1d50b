"""Where OpenVINO's rewrites leave each source node: values held against what the rewrite does, on small graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.backends.base import BuildConfig, Engine, backend_named
from core.backends.openvino._names import LayerNames
from core.base.progress import silent
from core.graph.engine_graph import EngineGraph, Fate
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx

BACKEND = backend_named("openvino")
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
RANDOM = np.random.default_rng(0)


def info(name: str, *shape: int, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(name: str, op: str, reads: str, makes: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, reads.split(), makes.split(), name=name, **attributes)


def built(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> Engine:
    stored = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    path = folder / "m.onnx"
    onnx.save(model, path)
    (folder / "engine").mkdir()
    source = Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path, weights=False)))
    return BACKEND.build(source, BuildConfig(), folder / "engine", silent)


def by_kind(graph: EngineGraph) -> list[tuple[str, tuple[str, ...]]]:
    return [(layer.kind, layer.source_nodes) for layer in graph.layers]


def test_outputs_of_64_bits_keep_their_nodes(tmp_path: Path) -> None:
    engine = built(
        tmp_path,
        [node("sum", "Add", "a b", "s"), node("product", "Mul", "a b", "p")],
        [info("a", 3, kind=INT64), info("b", 3, kind=INT64)],
        [info("s", 3, kind=INT64), info("p", 3, kind=INT64)],
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
            node("before", "Exp", "x", "e"),
            node("normal", "MeanVarianceNormalization", "e", "n", axes=[0, 2, 3]),
            node("after", "Relu", "n", "y"),
        ],
        [info("x", 3, 3, 4, 4)],
        [info("y", 3, 3, 4, 4)],
    )
    graph = BACKEND.describe(engine)
    assert len([layer for layer in graph.layers if "normal" in layer.source_nodes]) >= 3
    assert all(layer.source_nodes for layer in graph.layers)
    assert not graph.loose_nodes


def test_a_mask_of_shapes_is_held_and_not_carried(tmp_path: Path) -> None:
    engine = built(
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
