"""SavedModels of TensorFlow 1 that its Session runs: references given out, variables written, tensors that are only named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from core.backends.base import BuildConfig
from core.backends.litert import BACKEND as LITERT
from core.backends.tensorflow import BACKEND as TENSORFLOW
from core.base.errors import BuildFailed, ConversionFailed
from core.base.lean import import_tensorflow
from core.base.progress import silent
from core.conversion.onnx_from_savedmodel import OnnxFromSavedModel
from core.conversion.tflite_from_savedmodel import TfliteFromSavedModel
from core.models.model import Format, Source
from core.models.savedmodel import FILE_NAME, read_savedmodel

X = np.random.default_rng(0).random((3, 4), dtype=np.float32)
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)
VARIANTS = ("signature", "frozen", "xla")
pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter:UserWarning")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`read` gives out the weight itself; `count` writes a variable and gives that out."""
    tf = import_tensorflow()
    v1, path = tf.compat.v1, tmp_path_factory.mktemp("old") / "model"
    with warnings.catch_warnings(), tf.Graph().as_default(), v1.Session() as session:
        warnings.simplefilter("ignore")
        x = v1.placeholder(tf.float32, [None, 4], "x")
        weight = v1.get_variable("weight", initializer=WEIGHT, use_resource=False)
        step = v1.get_variable("step", initializer=np.float32(1), use_resource=False)
        y = tf.matmul(x, weight, name="y")
        session.run(v1.global_variables_initializer())
        build = v1.saved_model.signature_def_utils.predict_signature_def
        ends = {
            "read": build({"x": x}, {"y": y, "weight": weight._ref()}),
            "count": build({"x": x}, {"y": y, "step": v1.assign_add(step, 2.0)}),
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=ends)
        builder.save()
    return path


def source(path: Path, name: str) -> Source:
    signature = next(one for one in read_savedmodel(path).signatures if one.name == name)
    return Source(path=path, format=Format.SAVEDMODEL, signature=signature)


def engine_of(backend: Any, given: Source, folder: Path, variant: str = "") -> Any:
    folder.mkdir()
    return backend.build(given, BuildConfig(variant=variant, threads=1), folder, silent)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_reference_is_given_out_by_its_value(old: Path, variant: str, tmp_path: Path) -> None:
    with TENSORFLOW.open(engine_of(TENSORFLOW, source(old, "read"), tmp_path / "engine", variant)) as session:
        told = session.run({"x": X})
    np.testing.assert_array_equal(told["weight"], WEIGHT)
    np.testing.assert_allclose(told["y"], X @ WEIGHT, rtol=1e-5)


def test_a_reference_is_given_out_behind_the_converters_too(old: Path, tmp_path: Path) -> None:
    given = source(old, "read")
    OnnxFromSavedModel().convert(given, tmp_path, silent)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    weight, y = session.run(["weight", "y"], {"x": X})
    np.testing.assert_array_equal(weight, WEIGHT)
    np.testing.assert_allclose(y, X @ WEIGHT, rtol=1e-5)

    TfliteFromSavedModel().convert(given, tmp_path, silent)
    lite = Source(path=tmp_path / "model.tflite", format=Format.TFLITE, signature=given.signature)
    with LITERT.open(engine_of(LITERT, lite, tmp_path / "lite")) as running:
        told = running.run({"x": X})
    np.testing.assert_array_equal(told["weight"], WEIGHT)
    np.testing.assert_allclose(told["y"], X @ WEIGHT, rtol=1e-5)


def test_what_is_written_stays_until_the_next_call(old: Path, tmp_path: Path) -> None:
    with TENSORFLOW.open(engine_of(TENSORFLOW, source(old, "count"), tmp_path / "engine", "signature")) as session:
        assert [float(session.run({"x": X})["step"]) for _ in range(3)] == [3.0, 5.0, 7.0]


@pytest.mark.parametrize("variant", ["frozen", "xla"])
def test_a_variable_that_is_written_cannot_be_frozen(old: Path, variant: str, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="from one call to the next, written by AssignAdd") as caught:
        engine_of(TENSORFLOW, source(old, "count"), tmp_path / "engine", variant)
    assert "TensorFlow as loaded runs it" in caught.value.hint


@pytest.mark.parametrize("conversion", [OnnxFromSavedModel, TfliteFromSavedModel])
def test_no_converter_carries_it_over(old: Path, conversion: Callable[[], Any], tmp_path: Path) -> None:
    with pytest.raises(ConversionFailed, match=r"Signature count keeps values .* written by AssignAdd"):
        conversion().convert(source(old, "count"), tmp_path, silent)


def test_a_tensor_that_is_only_named_is_no_scalar(old: Path, tmp_path: Path) -> None:
    """Files of TensorFlow 1.0: a signature tells no shapes, and an empty shape of a placeholder told of none."""
    import shutil

    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = tmp_path / "older"
    shutil.copytree(old, path)
    saved = SavedModel.FromString((path / FILE_NAME).read_bytes())
    (graph,) = saved.meta_graphs
    graph.graph_def.versions.producer = 21
    for definition in graph.signature_def.values():
        for info in (*definition.inputs.values(), *definition.outputs.values()):
            info.ClearField("tensor_shape")
    (placeholder,) = [node for node in graph.graph_def.node if node.op == "Placeholder" and node.name == "x"]
    (path / FILE_NAME).write_bytes(saved.SerializeToString())
    assert [spec.shape for spec in source(path, "read").signature.inputs] == [("batch", 4)]  # as its placeholder tells

    del placeholder.attr["shape"].shape.dim[:]
    (path / FILE_NAME).write_bytes(saved.SerializeToString())
    given = source(path, "read")
    assert [spec.shape for spec in given.signature.inputs] == [None]
    with TENSORFLOW.open(engine_of(TENSORFLOW, given, tmp_path / "engine", "signature")) as session:
        np.testing.assert_allclose(session.run({"x": X})["y"], X @ WEIGHT, rtol=1e-5)
