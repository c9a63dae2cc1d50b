"""Graphs of old opsets and IR versions in every reduced precision, against ONNX Runtime on the graph as it came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from core.base.precision import Precision
from core.onnxio.file import read_onnx
from core.onnxio.simplify import ENTRY as SIMPLIFIED
from core.onnxio.simplify import simplify
from core.onnxio.walk import opset
from core.precision.load import load_for
from core.precision.prepare import prepare
from core.precision.record import ENTRY
from core.precision.runner import Runner
from core.precision.sensitivity import make_trial
from core.precision.target import parse_target

RNG = np.random.default_rng(0)
X = RNG.random((2, 4, 6, 6), dtype=np.float32)  # as the random samples that ranges are taken from
WEIGHTS = {"w": RNG.normal(size=(5, 4, 3, 3)).astype(np.float32), "gain": np.float32(2), "k": RNG.normal(size=(5, 3))}
PRECISIONS = {"fp16": 0.01, "int8": 0.15}
BODY = helper.make_graph(
    [
        helper.make_node("Clip", ["state"], ["low"], max=0.9),
        helper.make_node("Add", ["low", "c"], ["next"]),
        helper.make_node("Identity", ["go"], ["going"]),
    ],
    "body",
    [
        helper.make_tensor_value_info(name, kind, None if name == "state" else [])
        for name, kind in (("i", TensorProto.INT64), ("go", TensorProto.BOOL), ("state", TensorProto.FLOAT))
    ],
    [
        helper.make_tensor_value_info("going", TensorProto.BOOL, []),
        helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
    ],
)


def node(op: str, *names: str, to: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, list(names), to.split(), **attributes)


# What follows a convolution, by the opset whose attributes became inputs, or whose meaning changed, since.
NODES = {
    "clip": (10, [node("Clip", "c", min=-0.5, max=1.0)]),
    "clip at one end": (7, [node("Clip", "c", max=0.25)]),
    "pad": (10, [node("Pad", "c", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=2.5)]),
    "squeeze and sum": (12, [node("ReduceSum", "c", to="s", axes=[2, 3]), node("Squeeze", "s", axes=[2, 3])]),
    "softmax over the rest": (12, [node("Softmax", "c", axis=1)]),
    "split": (8, [node("Split", "c", to="a b", axis=1, split=[2, 3]), node("Concat", "b", "a", axis=1)]),
    "slice and dropout": (9, [node("Slice", "c", to="s", axes=[2], starts=[1], ends=[3]), node("Dropout", "s", ratio=0.3)]),
    "top": (9, [node("TopK", "c", to="y i", k=2, axis=1)]),
    "stretched": (7, [node("Upsample", "c", scales=[1.0, 1.0, 1.5, 2.0], mode="linear")]),
    "stretched by a weight": (9, [node("Upsample", "c", "sizes", mode="linear")]),
    "stretched and shrunk": (10, [node("Resize", "c", "sizes", mode="nearest")]),
    "classifier": (8, [node("GlobalAveragePool", "c", to="g"), node("Flatten", "g", to="f"), node("MatMul", "f", "k")]),
    "loop": (9, [node("Loop", "trips", "", "c", body=BODY)]),
}
MORE = {"sizes": np.array([1, 1, 1.5, 0.5], np.float32), "trips": np.array(3)}


def write(folder: Path, case: str, ir_version: int) -> tuple[Path, np.ndarray]:
    """The model, and what it computes; before IR version 4, all weights are inputs too."""
    version, nodes = NODES[case]
    sizes = np.array([1, 1, 1.5, 2], np.float32) if version == 9 else MORE["sizes"]
    known = {**WEIGHTS, **MORE, "sizes": sizes, "k": WEIGHTS["k"].astype(np.float32)}
    used = {name for one in nodes for name in one.input} | {"w", "gain"}
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in known.items() if name in used]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)]
    if ir_version < 4:
        inputs += [helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in weights]
    every = [node("Conv", "x", "w", to="c0"), node("Mul", "c0", "gain", to="c"), *nodes]
    graph = helper.make_graph(every, "old", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=ir_version)
    expected = run(model)
    graph = model.graph
    graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, expected.shape))
    onnx.save(model, folder / "old.onnx")
    return folder / "old.onnx", expected


def run(model: onnx.ModelProto) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": X})[0]


def prepared(source: Path, precision: Precision, target: str) -> onnx.ModelProto:
    folder = source.parent / f"{precision.value}-{target}"
    (folder / "simple").mkdir(parents=True)
    simplify(source, folder / "simple")
    prepare(folder / "simple" / SIMPLIFIED, folder, precision, target=parse_target(target))
    made = read_onnx(folder / ENTRY)
    checker.check_model(made, full_check=True)
    return made


@pytest.mark.parametrize("ir_version", [3, 4])
@pytest.mark.parametrize("case", NODES)
def test_an_old_graph_computes_the_same_in_less(case: str, ir_version: int, tmp_path: Path) -> None:
    source, expected = write(tmp_path, case, ir_version)
    for name, tolerance in PRECISIONS.items():
        found = run(prepared(source, Precision(name), "onnxruntime"))
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max(), name


@pytest.mark.parametrize(
    ("precision", "target"),
    [(Precision.BF16, "openvino"), (Precision.FP16, "tensorrt"), (Precision.INT8, "tensorrt"), (Precision.INT8, "tensorrt-8.6")],
)
@pytest.mark.parametrize("case", ["clip", "pad", "stretched", "loop"])
def test_an_old_graph_is_valid_for_every_target(case: str, precision: Precision, target: str, tmp_path: Path) -> None:
    source, _ = write(tmp_path, case, 3)
    made = prepared(source, precision, target)
    assert (opset(made) or 0) >= 13
    assert [value.name for value in made.graph.input] == ["x"]
    assert not [one for one in made.graph.node if one.op_type == "Clip" and one.attribute]


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])
@pytest.mark.parametrize("case", ["clip", "pad", "softmax over the rest", "slice and dropout", "loop"])
def test_an_old_graph_is_tried_by_rounding(case: str, precision: Precision, tmp_path: Path) -> None:
    source, expected = write(tmp_path, case, 4)
    trial = make_trial(load_for(source, precision)[0], precision)
    (found,) = Runner(trial.model, ["y"], exact=trial.exact).run({"x": X})
    assert trial.converted
    off = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < off <= precision.facts.tolerance
