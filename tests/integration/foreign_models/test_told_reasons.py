"""The runtime's own reason is what a failed build tells, with advice only where it can help."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper

from core.base.precision import Precision
from core.storage.builds import StageName
from core.storage.workspace import Workspace
from tests.asked_models import FLOAT, info

from .building import build, write_onnx

pytestmark = pytest.mark.usefixtures("forked")

X, Y = info("x", FLOAT, [2]), info("y", FLOAT, [2])


def test_openvino_s_reason_is_behind_its_header_line(workspace: Workspace, tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Abs", ["h"], ["y"])]
    model = write_onnx(tmp_path / "twice.onnx", nodes, [X, X], [Y])
    error = build(workspace, model, "onnx.openvino").build.error
    assert error is not None
    assert error.message.startswith('OpenVINO could not read twice.onnx: Tensor already exists "x"')
    assert "breaks ONNX's own rules" in error.hint or "preflight" in error.hint


def test_the_error_of_a_failed_build_is_that_of_the_stage_that_ended_it(workspace: Workspace, tmp_path: Path) -> None:
    """A source that does not run leaves no reference and no parity: neither is why, and neither is told to be run again."""
    nodes = [helper.make_node("Strange", ["x"], ["y"], domain="nobody")]
    model = write_onnx(tmp_path / "strange.onnx", nodes, [X], [Y])
    found = build(workspace, model, "onnx.onnxruntime")
    assert found.build.error is not None
    assert "strange.onnx" in found.build.error.message
    assert "nobody" in found.build.error.message
    assert found.build.missing(StageName.MEASURE) == "the build failed"
    told = [record.error for record in found.build.stages if record.error]
    assert not any("build again" in error.hint for error in told)


def test_int8_of_a_graph_whose_types_contradict_says_so(workspace: Workspace, tmp_path: Path) -> None:
    nodes = [helper.make_node("Strange", ["x"], ["y"], domain="nobody")]
    model = write_onnx(tmp_path / "strange.onnx", nodes, [X], [Y])
    error = build(workspace, model, "onnx.onnxruntime", Precision.INT8).build.error
    assert error is not None
    assert "nobody" in error.message
    assert "[ONNXRuntimeError]" not in error.message


@pytest.mark.parametrize("path", ["savedmodel.tensorflow.frozen", "savedmodel.onnx.onnxruntime"])
def test_state_is_named_where_it_cannot_be_carried_over(workspace: Workspace, tensorflow_models: Path, path: str) -> None:
    error = build(workspace, tensorflow_models / "stateful", path).build.error
    assert error is not None
    assert "keeps values from one call to the next, written by" in error.message
    assert "AssignVariableOp" in error.message
    assert "TensorFlow as loaded runs it" in error.hint


def test_a_loop_with_an_open_length_is_told_to_fix_it(workspace: Workspace, tensorflow_models: Path) -> None:
    error = build(workspace, tensorflow_models / "recurrent", "savedmodel.tflite.litert").build.error
    assert error is not None
    assert error.message.endswith(
        "'tf.TensorListReserve' op requires element_shape to be static during TF Lite transformation pass."
    )
    assert error.hint.startswith("What a loop carries must have fixed lengths there: fix the batch size")
    assert "batch" in error.hint


def test_python_code_in_a_keras_file_is_not_asked_for_again(workspace: Workspace, tensorflow_models: Path) -> None:
    error = build(workspace, tensorflow_models / "lambda.keras", "keras.tensorflow.signature").build.error
    assert error is not None
    assert error.message == "Loading the model failed: it has a Lambda layer, which is Python code in the file"
    assert "model.export" in error.hint
