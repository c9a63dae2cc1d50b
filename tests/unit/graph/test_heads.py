"""What stands at a model's outputs: sigmoids and grids, through what only moves values about."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.base.tensors import Signature, TensorSpec
from core.graph.heads import judgings
from core.models.model import Format
from core.parity.judging import Judging


def write(path: Path, nodes: list[onnx.NodeProto], outputs: dict[str, int], weights: dict[str, object]) -> Signature:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    names = {TensorProto.FLOAT: "float32", TensorProto.INT8: "int8", TensorProto.UINT8: "uint8"}
    outs = tuple(TensorSpec(name=name, dtype=names[kind], shape=None) for name, kind in outputs.items())
    return Signature(name="main", inputs=(TensorSpec(name="x", dtype="float32", shape=(2, 4)),), outputs=outs)


def node(op: str, inputs: str, output: str, **more: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], **more)


def test_onnx(tmp_path: Path) -> None:
    nodes = [
        node("Sigmoid", "x", "s"),
        node("Reshape", "s flat", "map"),
        node("Relu", "x", "r"),
        node("Concat", "s s", "both", axis=0),
        node("Concat", "s r", "mixed", axis=0),
        node("QuantizeLinear", "x scale zero", "q"),
        node("DequantizeLinear", "q scale zero", "back"),
        node("DequantizeLinear", "q scales zeros", "channels", axis=1),
        node("Identity", "q", "labels"),
    ]
    floats = dict.fromkeys(["map", "r", "both", "mixed", "back", "channels"], TensorProto.FLOAT)
    weights = {
        "flat": np.array([8]), "scale": np.float32(0.25), "zero": np.int8(0),
        "scales": np.full(4, 0.5, np.float32), "zeros": np.zeros(4, np.int8),
    }  # fmt: skip
    signature = write(tmp_path / "m.onnx", nodes, {**floats, "labels": TensorProto.INT8}, weights)
    assert judgings(Format.ONNX, tmp_path / "m.onnx", signature) == {
        "map": Judging(logistic=True),
        "both": Judging(logistic=True),
        "back": Judging(step=0.25),
        "labels": Judging(step=1.0),
    }


def test_integers_that_no_quantizer_makes_are_not_on_a_grid(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "classes", to=TensorProto.UINT8)]
    signature = write(tmp_path / "m.onnx", nodes, {"classes": TensorProto.UINT8}, {})
    assert judgings(Format.ONNX, tmp_path / "m.onnx", signature) == {}


def test_keras(tmp_path: Path) -> None:
    def layer(kind: str, name: str, reads: str = "", **config: object) -> dict[str, object]:
        history = [{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [reads, 0, 0]}}]}] if reads else []
        return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": history}

    def judged(activation: object) -> dict[str, Judging]:
        layers = [layer("InputLayer", "x"), layer("Dense", "d", "x", activation=activation), layer("Reshape", "r", "d")]
        path = tmp_path / "m.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": layers}}))
            archive.writestr("metadata.json", "{}")
            weights = io.BytesIO()
            h5py.File(weights, "w").close()
            archive.writestr("model.weights.h5", weights.getvalue())
        out = TensorSpec(name="r", dtype="float32", shape=None)
        return judgings(Format.KERAS, path, Signature(name="main", inputs=(), outputs=(out,)))

    assert judged("sigmoid") == {"r": Judging(logistic=True)}
    assert judged("relu") == {}
