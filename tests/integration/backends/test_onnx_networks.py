"""ONNX Runtime and OpenVINO on real networks: the right outputs, and a place for every node."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.networks import onnx_of
from core.backends.base import Backend, BuildConfig, backend_named
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import silent
from core.graph.engine_graph import EngineGraph, Fate
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from tests.resnet50 import Converted

# Nine networks of constant weights in the onnx package, each with what it answers to a ramp from 0 to 1.
LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
# Equal logits of 1e10, where the last bit is worth 1000: a softmax tells nothing there, so the logits are compared.
TOO_STEEP = {("light_squeezenet", "openvino")}
PARITY = [("onnxruntime", "all"), ("onnxruntime", "extended"), ("openvino", "")]


def source_of(path: Path) -> Source:
    return Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path, weights=False)))


def with_logits(path: Path, folder: Path) -> Path:
    """The network with what goes into its last softmax as a second output."""
    model = onnx.load(path)
    shape = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim]
    model.graph.output.append(helper.make_tensor_value_info(model.graph.node[-1].input[0], TensorProto.FLOAT, shape))
    onnx.save(model, folder / path.name)
    return folder / path.name


def config_of(level: str) -> BuildConfig:
    one = ShapeProfile(axes={"batch": AxisRange(min=1, opt=1, max=2)})
    return BuildConfig(options={"graph_optimization": level} if level else {}, threads=2, profile=one)


def kinds_of(graph: EngineGraph) -> set[tuple[str, tuple[str, ...]]]:
    """Kinds of layers with the ops in them, in source order."""
    ops = {node.name: node.op for node in graph.source_nodes}
    return {(layer.kind, tuple(ops[name] for name in layer.source_nodes)) for layer in graph.layers}


def assert_every_node_has_a_place(graph: EngineGraph) -> None:
    assert graph.unmapped == ()
    carried = {name for layer in graph.layers for name in layer.source_nodes}
    assert carried | {node.name for node in graph.loose_nodes} == {node.name for node in graph.source_nodes}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_answers_as_the_networks_shipped_answers_say(path: Path, name: str, tmp_path: Path) -> None:
    backend: Backend = backend_named(name)
    source = source_of(with_logits(path, tmp_path) if (path.stem, name) in TOO_STEEP else path)
    (given,) = source.signature.inputs
    shape = tuple(int(axis) for axis in given.shape or ())
    ramp = (np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)).astype(np.float32)
    shipped = TensorProto.FromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
    engine = backend.build(source, BuildConfig(threads=2), tmp_path, silent)
    try:
        with backend.open(engine) as session:
            output, *logits = session.run({given.name: ramp}).values()
        if not logits:
            np.testing.assert_allclose(output, numpy_helper.to_array(shipped), rtol=1e-3, atol=1e-6)
        else:
            np.testing.assert_array_equal(np.unique(numpy_helper.to_array(shipped)), np.float32(1e-3))
            np.testing.assert_allclose(logits[0], logits[0].flat[0], rtol=1e-6)
        assert_every_node_has_a_place(backend.describe(engine))
    finally:
        shutil.rmtree(tmp_path)  # weights that were 80 KB of instructions are half a gigabyte once worked out


def test_all_nine_networks_are_there() -> None:
    assert len(LIGHT) == 9


@pytest.mark.slow
@pytest.mark.parametrize(("name", "level"), PARITY, ids=str)
@pytest.mark.parametrize("network", ["mobilenetv2", "resnet50"])
def test_every_node_of_a_converted_network_is_in_a_layer(
    network: str, name: str, level: str, tmp_path: Path, resnet50: Converted
) -> None:
    backend = backend_named(name)
    path = resnet50.model if network == "resnet50" else onnx_of(network)
    engine = backend.build(source_of(path), config_of(level), tmp_path, silent)
    graph = backend.describe(engine)
    assert_every_node_has_a_place(graph)
    # A converter leaves few constant expressions, and nothing else may be loose.
    assert {node.fate for node in graph.loose_nodes} <= {Fate.FOLDED}
    fused = kinds_of(graph)
    convolution = "FusedConv" if level == "extended" else "Conv" if level == "all" else "Convolution"
    activation = "Relu" if network == "resnet50" else "Clip"
    assert (convolution, ("Conv", activation)) in fused
    if level != "extended":
        assert (convolution, ("Conv", "Add", "Relu") if network == "resnet50" else ("Conv", "Add")) in fused
    convolutions = [layer for layer in graph.layers if layer.kind in (convolution, "Conv")]
    ops = {node.name: node.op for node in graph.source_nodes}
    for layer in convolutions:
        assert [ops[name] for name in layer.source_nodes].count("Conv") == 1
    times = backend.layer_times(engine, {"image": np.zeros((1, 224, 224, 3), np.float32)}, 2)
    assert times.keys() <= {layer.name for layer in graph.layers}
    assert sum(times.values()) > 0.5


def test_at_no_optimisation_each_node_is_its_own_layer(tmp_path: Path) -> None:
    backend = backend_named("onnxruntime")
    path = next(path for path in LIGHT if "squeezenet" in path.name)
    engine = backend.build(source_of(path), config_of("disabled"), tmp_path, silent)
    graph = backend.describe(replace(engine, config=config_of("disabled")))
    assert [layer.source_nodes for layer in graph.layers if len(layer.source_nodes) != 1] == []
    assert len(graph.layers) == len(graph.source_nodes)
    assert graph.loose_nodes == ()
