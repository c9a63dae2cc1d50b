"""A hint stands where it can help, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from core.backends._engine import build_again
from core.backends._errors import ASK_OTHERS, onnx_hint
from core.backends.base import BuildConfig, Engine
from core.backends.litert._preflight import hint_for
from core.backends.onnxruntime._hints import building_hint, running_hint
from core.base.availability import installed_version
from core.base.tensors import Signature, TensorSpec
from core.models.model import Format, Source
from core.onnxio.rules import broken_rule

X = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])
Y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])
SIGNATURE = Signature(
    name="main",
    inputs=(TensorSpec(name="x", dtype="float32", shape=(2,)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=(2,)),),
)
TWICE = (helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["y"]))


def source(folder: Path, *nodes: onnx.NodeProto, is_made: bool = False) -> Source:
    graph = helper.make_graph(list(nodes), "g", [X], [Y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "model.onnx")
    return Source(path=folder / "model.onnx", format=Format.ONNX, signature=SIGNATURE, name="net.onnx", is_made=is_made)


def test_a_file_that_breaks_the_rules_is_not_sent_to_another_runtime(tmp_path: Path) -> None:
    found = source(tmp_path, *TWICE)
    assert "export it again" in onnx_hint(found)
    assert broken_rule(found.path) in onnx_hint(found)
    assert "export it again" in building_hint(RuntimeError("INVALID_GRAPH : Duplicate definition of name (y)."), found)


def test_nobody_is_told_to_export_again_what_a_step_of_ours_made(tmp_path: Path) -> None:
    assert onnx_hint(source(tmp_path, *TWICE, is_made=True)) == ASK_OTHERS


def test_the_runtime_s_own_limits_become_advice(tmp_path: Path) -> None:
    good = source(tmp_path, helper.make_node("Relu", ["x"], ["y"]))
    assert "IR version 13" in building_hint(RuntimeError("Unsupported model IR version: 14, max supported IR version: 13"), good)
    missing = RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Foo(1)")
    assert building_hint(missing, good) == ASK_OTHERS


def test_shapes_are_blamed_only_where_they_failed() -> None:
    assert "shape profile" in running_hint(RuntimeError("INVALID_ARGUMENT : Got invalid dimensions for input: x"))
    assert running_hint(RuntimeError("Gather: indices element out of data bounds, idx=7")) == ""


@pytest.mark.parametrize(("version", "helps"), [(installed_version("onnxruntime"), False), ("1.0", True)])
def test_building_again_is_advised_only_where_it_gives_another_engine(version: str, helps: bool, tmp_path: Path) -> None:
    engine = Engine(
        folder=tmp_path,
        backend="onnxruntime",
        config=BuildConfig(),
        signature=SIGNATURE,
        artifact="model.onnx",
        size_bytes=1,
        versions={"onnxruntime": version},
    )
    assert bool(build_again(engine, "onnxruntime")) is helps


def test_nobody_converts_again_with_the_ops_that_were_tried_first() -> None:
    said = "Select TensorFlow op(s), included in the given model, is(are) not supported by this interpreter."
    assert "built-in ops alone" not in hint_for(said)
    assert "TensorFlow" in hint_for(said)


def test_a_message_names_the_model_as_its_user_does(tmp_path: Path) -> None:
    assert source(tmp_path, *TWICE).title == "net.onnx"
    made = Source(path=tmp_path / "content", format=Format.SAVEDMODEL, signature=SIGNATURE, name="net.keras", is_made=True)
    assert made.title == "the SavedModel made of net.keras"
    assert Source(path=tmp_path / "a.onnx", format=Format.ONNX, signature=SIGNATURE).title == "a.onnx"


def test_ends_without_shapes_break_no_rule_that_matters(tmp_path: Path) -> None:
    found = source(tmp_path, helper.make_node("Relu", ["x"], ["y"]))
    model = onnx.load(found.path)
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.ClearField("shape")
    onnx.save(model, found.path)
    assert broken_rule(found.path) == ""
    assert onnx_hint(found) == ASK_OTHERS
