"""Narrow precisions on ONNX Runtime: what its rewrites make of them is traced back to the nodes of the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from core.backends.base import BuildConfig, backend_named
from core.base.precision import Precision
from core.base.progress import silent
from core.graph.engine_graph import EngineGraph
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import save_onnx
from core.precision.calibration.samples import SampleSource
from core.precision.prepare import prepare
from core.precision.record import ENTRY
from core.precision.target import parse_target

BACKEND = backend_named("onnxruntime")
BODY = """
    c0 = Conv <pads = [1,1,1,1]> (image, w0, b0)
    r0 = Relu (c0)
    m0 = MaxPool <kernel_shape = [2,2], strides = [2,2]> (r0)
    c1 = Conv <pads = [1,1,1,1]> (m0, w1)
    r1 = Clip (c1, zero, six)
    c2 = Conv <pads = [1,1,1,1]> (r1, w1)
    a0 = Add (c2, m0)
    r2 = Relu (a0)
    c3 = Conv <pads = [1,1,1,1]> (r2, w1)
    p = GlobalAveragePool (c3)
    f = Flatten (p)
    logits = Gemm <transB = 1> (f, w2, b2)
    scores = Softmax (logits)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,16,16] image) => (float[1,5] scores) {{ {BODY} }}'
    model = parser.parse_model(text)
    rng = np.random.default_rng(3)
    weights = {
        "w0": rng.normal(0, 0.3, (16, 3, 3, 3)),
        "b0": rng.normal(0, 0.1, 16),
        "w1": rng.normal(0, 0.1, (16, 16, 3, 3)),
        "w2": rng.normal(0, 0.3, (5, 16)),
        "b2": rng.normal(0, 0.1, 5),
        "zero": np.array(0.0),
        "six": np.array(6.0),
    }
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    for node in model.graph.node:
        node.name = f"{node.op_type}_{node.output[0]}"
    path = tmp_path_factory.mktemp("narrow") / "source.onnx"
    save_onnx(model, path)
    return path


def described(source: Path, precision: Precision) -> EngineGraph:
    made, engine_folder = source.parent / precision.value, source.parent / f"{precision.value}-engine"
    made.mkdir()
    engine_folder.mkdir()
    prepare(source, made, precision, target=parse_target("onnxruntime"), data=SampleSource(random_samples=4))
    model = Source(path=made / ENTRY, format=Format.ONNX, signature=graph_signature(onnx.load(made / ENTRY)))
    return BACKEND.describe(BACKEND.build(model, BuildConfig(precision=precision), engine_folder, silent))


@pytest.fixture(scope="module")
def graph(source: Path) -> EngineGraph:
    return described(source, Precision.INT8)


def layer_of(graph: EngineGraph, node: str) -> tuple[str, tuple[str, ...]]:
    """Kind and source nodes of the one layer that a node is in."""
    found = [layer for layer in graph.layers if node in layer.source_nodes]
    assert len(found) == 1, [layer.name for layer in found]
    return found[0].kind, found[0].source_nodes


@pytest.mark.parametrize(
    ("node", "kind", "around"),
    [
        ("Conv_c0", "QLinearConv", ("w0_DequantizeLinear", "Relu_r0")),
        ("Conv_c1", "QLinearConv", ("w1_DequantizeLinear", "Clip_r1")),
        ("Conv_c2", "QLinearConv", ("c2_QuantizeLinear",)),
        ("Add_a0", "QLinearAdd", ("c2_DequantizeLinear", "Relu_r2")),
    ],
)
def test_a_layer_of_integers_carries_the_operator_and_what_was_fused(
    graph: EngineGraph, node: str, kind: str, around: tuple[str, ...]
) -> None:
    found, nodes = layer_of(graph, node)
    assert found == kind
    assert node in nodes
    assert set(around) <= set(nodes)


def test_every_layer_that_computes_says_what_it_carries(graph: EngineGraph) -> None:
    silent_layers = [layer.kind for layer in graph.layers if not layer.source_nodes]
    assert set(silent_layers) <= {"Transpose"}  # changes of layout that ONNX Runtime put in
    assert not graph.unmapped


def test_each_is_told_to_compute_in_integers(graph: EngineGraph) -> None:
    convolutions = [layer.precision for layer in graph.layers if layer.kind == "QLinearConv"]
    assert convolutions == ["uint8"] * 4


def test_a_q_that_moved_keeps_its_layer(graph: EngineGraph) -> None:
    assert layer_of(graph, "image_QuantizeLinear")[0] == "QuantizeLinear"


def test_fp16_computed_in_fp32_is_traced_through_the_casts(source: Path) -> None:
    graph = described(source, Precision.FP16)
    convolutions = [layer for layer in graph.layers if any(name.startswith("Conv_") for name in layer.source_nodes)]
    assert [layer.precision for layer in convolutions] == ["float32"] * 4
    assert all("Conv" in layer.kind for layer in convolutions)
    assert {"Conv_c0", "Relu_r0"} <= set(convolutions[0].source_nodes)
    assert not graph.unmapped
