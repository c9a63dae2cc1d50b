"""INT8 that OpenVINO would get wrong, and a tied output layer that would stay in FP32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

from core.base.precision import Precision
from core.storage.workspace import Workspace
from tests.asked_models import FLOAT, INT64, info

from .building import build, save_arrays, write_onnx

pytestmark = pytest.mark.usefixtures("forked")
NODE = helper.make_node
RNG = np.random.default_rng(3)
CONV = NODE("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1])


@pytest.mark.parametrize(
    "behind",
    [
        [NODE("Mul", ["c", "c"], ["q"])],
        [NODE("Relu", ["c"], ["r"]), NODE("Mul", ["c", "r"], ["q"])],
        [NODE("Mul", ["c", "scale"], ["s"]), NODE("Add", ["s", "s"], ["q"])],
        [NODE("Neg", ["c"], ["n"]), NODE("Mul", ["n", "n"], ["q"])],
        [
            NODE("GlobalAveragePool", ["c"], ["p"]),
            NODE("Conv", ["p", "gate"], ["g"]),
            NODE("Sigmoid", ["g"], ["a"]),
            NODE("Mul", ["c", "a"], ["q"]),
        ],
    ],
    ids=["square", "times-relu", "scaled-twice", "negated", "gate"],
)
def test_a_convolution_without_bias_and_with_several_readers_is_right(
    workspace: Workspace, tmp_path: Path, behind: list[NodeProto]
) -> None:
    nodes = [CONV, *behind, NODE("GlobalAveragePool", ["q"], ["y"])]
    every = {
        "w": RNG.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "scale": np.full((8, 1, 1), 0.7, np.float32),
        "gate": RNG.normal(size=(8, 8, 1, 1)).astype(np.float32),
    }
    weights = {name: value for name, value in every.items() if any(name in node.input for node in nodes)}
    inputs, outputs = [info("x", FLOAT, ["N", 3, 16, 16])], [info("y", FLOAT, ["N", 8, 1, 1])]
    model = write_onnx(tmp_path / "several.onnx", nodes, inputs, outputs, weights)
    data = save_arrays(tmp_path / "data.npz", x=RNG.normal(size=(16, 3, 16, 16)).astype(np.float32))
    found = build(workspace, model, "onnx.openvino", Precision.INT8, inputs=data, calibration=data)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.graph is not None
    assert any(layer.precision == "int8" for layer in found.graph.layers)


@pytest.mark.parametrize("op", ["MatMul", "Gemm"])
def test_a_product_without_bias_and_with_several_readers_is_right(workspace: Workspace, tmp_path: Path, op: str) -> None:
    nodes = [NODE(op, ["x", "w"], ["c"]), NODE("Relu", ["c"], ["r"]), NODE("Sub", ["c", "r"], ["y"])]
    weights = {"w": RNG.normal(size=(16, 8)).astype(np.float32)}
    model = write_onnx(tmp_path / "product.onnx", nodes, [info("x", FLOAT, ["N", 16])], [info("y", FLOAT, ["N", 8])], weights)
    data = save_arrays(tmp_path / "data.npz", x=RNG.normal(size=(32, 16)).astype(np.float32))
    found = build(workspace, model, "onnx.openvino", Precision.INT8, inputs=data, calibration=data)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True


@pytest.mark.parametrize("path", ["onnx.onnxruntime", "onnx.openvino"])
def test_a_tied_output_layer_is_quantized(workspace: Workspace, tmp_path: Path, path: str) -> None:
    nodes = [
        NODE("Gather", ["embedding", "ids"], ["e"], axis=0),
        NODE("Transpose", ["embedding"], ["turned"], perm=[1, 0]),
        NODE("MatMul", ["e", "turned"], ["logits"], name="tied"),
    ]
    weights = {"embedding": RNG.normal(size=(32, 16)).astype(np.float32)}
    inputs, outputs = [info("ids", INT64, ["N", "L"])], [info("logits", FLOAT, ["N", "L", 32])]
    model = write_onnx(tmp_path / "tied.onnx", nodes, inputs, outputs, weights)
    data = save_arrays(tmp_path / "data.npz", ids=RNG.integers(0, 32, (16, 7)))
    found = build(workspace, model, path, Precision.INT8, inputs=data, calibration=data)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.prepared is not None
    assert found.prepared.precision is not None
    assert (found.prepared.precision.kept, found.prepared.precision.converted) == ({}, ("tied",))
