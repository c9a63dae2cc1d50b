"""The last steps to an ONNX file, on graphs made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.base.errors import ConversionFailed
from core.base.tensors import Signature, TensorSpec
from core.conversion._onnx_finish import keep_signature, load_in_runtime
from core.conversion._onnx_polish import polish
from core.models.onnx_graph import graph_signature


def make(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    def tensors(names: list[str]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["unk__1", "unk__2"]) for name in names]

    stored = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", tensors(inputs), tensors(outputs), stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def spec(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape)


def test_signature_s_order_axes_and_unused_inputs_come_back() -> None:
    model = make([helper.make_node("Add", ["a", "b"], ["y"])], {}, ["b", "a"], ["y"])
    inputs = (spec("a", "batch", 4), TensorSpec(name="words", dtype="string", shape=("batch",)), spec("b", "batch", 4))
    keep_signature(model, Signature(name="s", inputs=inputs, outputs=(spec("y", "batch", 4),)), "m")
    found = graph_signature(model)
    assert found.inputs == inputs
    assert found.outputs == (spec("y", "batch", 4),)


def test_outputs_without_a_known_rank_keep_theirs_less_the_made_up_symbols() -> None:
    model = make([helper.make_node("Relu", ["a"], ["y"])], {}, ["a"], ["y"])
    unknown = TensorSpec(name="y", dtype="float32", shape=None)
    keep_signature(model, Signature(name="s", inputs=(spec("a", "n", 4),), outputs=(unknown,)), "m")
    assert [dim.dim_param for dim in model.graph.output[0].type.tensor_type.shape.dim] == ["", ""]


def test_missing_outputs_and_strange_inputs_are_named() -> None:
    model = make([helper.make_node("Add", ["a", "captured"], ["y"])], {}, ["a", "captured"], ["y"])
    with pytest.raises(ConversionFailed, match=r"captured, z"):
        keep_signature(model, Signature(name="s", inputs=(spec("a", 1, 1),), outputs=(spec("z", 1, 1),)), "m")


def test_a_model_that_onnx_runtime_refuses_is_a_failed_conversion(tmp_path: Path) -> None:
    onnx.save(make([helper.make_node("DecodeJpeg", ["x"], ["y"])], {}, ["x"], ["y"]), tmp_path / "m.onnx")
    with pytest.raises(ConversionFailed, match=r"ONNX Runtime refuses .* DecodeJpeg"):
        load_in_runtime(tmp_path / "m.onnx", "m")


def test_a_type_that_onnx_runtime_has_no_kernel_for_is_a_note(tmp_path: Path) -> None:
    model = make([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": np.zeros((2, 2, 1, 1))}, ["x"], ["y"])
    for info in (*model.graph.input, *model.graph.output):
        info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.DOUBLE, [1, 2, 3, 3]))
    onnx.save(model, tmp_path / "m.onnx")
    (note,) = load_in_runtime(tmp_path / "m.onnx", "m")
    assert "Conv" in note
    assert str(tmp_path) not in note


def gelu(rank: int) -> onnx.ModelProto:
    half, root, one = (np.full([1] * rank, value, np.float32) for value in (0.5, 0.5**0.5, 1.0))
    nodes = [
        helper.make_node("Mul", ["root", "x"], ["scaled"], name="scale"),
        helper.make_node("Erf", ["scaled"], ["bell"], name="erf"),
        helper.make_node("Add", ["bell", "one"], ["up"], name="up"),
        helper.make_node("Mul", ["x", "half"], ["small"], name="small"),
        helper.make_node("Mul", ["small", "up"], ["y"], name="out"),
    ]
    return make(nodes, {"half": half, "root": root, "one": one}, ["x"], ["y"])


@pytest.mark.parametrize("rank", [0, 2])
def test_gelu_takes_the_form_that_onnx_runtime_fuses(rank: int, tmp_path: Path) -> None:
    import onnxruntime

    model = gelu(rank)
    before = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    polish(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    after = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node] == ["Gelu"]
    x = np.linspace(-4, 4, 12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_allclose(after.run(None, {"x": x})[0], before.run(None, {"x": x})[0], atol=1e-6)


def test_polish_drops_what_nothing_uses_and_names_after_weights() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "net/dense_1/MatMul/Read:0"], ["h"], name="MatMul__3"),
        helper.make_node("MatMul", ["h", "net/dense_1/MatMul/Read:0"], ["g"], name="MatMul__4"),
        helper.make_node("Relu", ["g"], ["y"], name="net/relu/Relu"),
    ]
    model = make(nodes, {"net/dense_1/MatMul/Read:0": np.eye(2, dtype=np.float32), "spare": np.zeros(3)}, ["x"], ["y"])
    polish(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["net/dense_1/MatMul/Read:0"]
    assert [node.name for node in model.graph.node] == ["net/dense_1/MatMul/MatMul", "MatMul__4", "net/relu/Relu"]
