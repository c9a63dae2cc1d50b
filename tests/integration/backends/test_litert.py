"""The LiteRT backend on tiny real models."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.backends.base import BuildConfig, Engine
from core.backends.litert import BACKEND
from core.base.errors import BuildFailed, InvalidRequest
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import silent
from core.base.tensors import Signature, TensorSpec
from core.graph.engine_graph import Fate
from core.models.model import Format, Source

ROWS = np.random.default_rng(0).random((3, 4), dtype=np.float32)
MAIN = Signature(
    name="main",
    inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 4)),),
    outputs=(
        TensorSpec(name="product", dtype="float32", shape=("batch", 5)),
        TensorSpec(name="total", dtype="float32", shape=("batch", 4)),
    ),
)
DOUBLE = Signature(
    name="double",
    inputs=(TensorSpec(name="count", dtype="int32", shape=("batch",)),),
    outputs=(TensorSpec(name="twice", dtype="int32", shape=("batch",)),),
)
TEXT = Signature(
    name="serving_default",
    inputs=(TensorSpec(name="text", dtype="string", shape=("batch",)),),
    outputs=(TensorSpec(name="output_0", dtype="string", shape=("batch",)),),
)
WEIGHT = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tflite-models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
        def main(self, x: Any) -> dict[str, Any]:
            return {"product": tf.nn.relu(x @ WEIGHT) + 1.0, "total": tf.cumsum(x, axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="count")])
        def double(self, count: Any) -> dict[str, Any]:
            return {"twice": count * 2}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def first(self, text: Any) -> Any:
            return tf.gather(text, [0])

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def upper(self, text: Any) -> Any:
            return tf.strings.upper(text)

    module = Module()
    tf.saved_model.save(module, str(folder / "saved"), signatures={"main": module.main, "double": module.double})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"), signature_keys=["main", "double"])
    (folder / "two.tflite").write_bytes(converter.convert())
    for function, name in ((module.first, "text"), (module.upper, "custom")):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
        converter.allow_custom_ops = True
        (folder / f"{name}.tflite").write_bytes(converter.convert())


@pytest.fixture
def build(models: Path, tmp_path: Path) -> Any:
    def build(file: str = "two.tflite", signature: Signature = MAIN, **config: Any) -> Engine:
        source = Source(path=models / file, format=Format.TFLITE, signature=signature)
        return BACKEND.build(source, BuildConfig(**config), tmp_path, silent)

    return build


def run(engine: Engine, **inputs: Any) -> dict[str, np.ndarray]:
    with BACKEND.open(engine) as session:
        return session.run(inputs)


@pytest.mark.parametrize("xnnpack", [True, False])
def test_any_batch_runs_and_gives_the_right_values(build: Any, xnnpack: bool) -> None:
    engine = build(options={"xnnpack": xnnpack}, threads=2)
    for rows in (ROWS, ROWS[:1]):
        told = run(engine, x=rows)
        np.testing.assert_allclose(told["product"], np.maximum(rows @ WEIGHT, 0) + 1, rtol=1e-5)
        np.testing.assert_allclose(told["total"], np.cumsum(rows, axis=1), rtol=1e-5)


def test_results_are_copies(build: Any) -> None:
    with BACKEND.open(build()) as session:
        first = session.run({"x": ROWS})["product"]
        before = first.copy()
        session.run({"x": -ROWS})
        np.testing.assert_array_equal(first, before)


def test_a_second_signature_runs(build: Any) -> None:
    assert run(build(signature=DOUBLE), count=np.array([1, 2], np.int32))["twice"].tolist() == [2, 4]


def test_text_goes_in_and_comes_out(build: Any) -> None:
    assert run(build("text.tflite", TEXT), text=np.array(["zébu", "dog"]))["output_0"].tolist() == ["zébu"]


def test_the_artifact_is_the_model_alone(build: Any, models: Path) -> None:
    engine = build()
    assert (engine.folder / engine.artifact).read_bytes() == (models / "two.tflite").read_bytes()
    assert engine.size_bytes == (models / "two.tflite").stat().st_size
    assert engine.versions["ai-edge-litert"]


def test_a_delegate_shows_the_operators_it_took(build: Any) -> None:
    graph = BACKEND.describe(build(profile=ShapeProfile(axes={"batch": AxisRange(min=1, opt=3, max=3)})))
    delegate = next(layer for layer in graph.layers if layer.kind == "DELEGATE")
    alone = next(layer for layer in graph.layers if layer.kind == "CUMSUM")
    assert delegate.kernel == "XNNPACK"
    assert len(delegate.source_nodes) > 1
    assert alone.source_nodes[0] not in delegate.source_nodes
    assert {tensor.shape for tensor in delegate.outputs} == {(3, 5)}
    carried = [name for layer in graph.layers for name in layer.source_nodes]
    assert sorted(carried) == sorted(node.name for node in graph.source_nodes)
    assert "does not tell" in graph.notes[0]


def test_without_xnnpack_every_operator_is_a_layer(build: Any) -> None:
    graph = BACKEND.describe(build(options={"xnnpack": False}))
    assert [layer.source_nodes for layer in graph.layers] == [(node.name,) for node in graph.source_nodes]
    assert {layer.precision for layer in graph.layers} == {"float32"}


def test_what_litert_does_not_tell_is_listed(build: Any) -> None:
    graph = BACKEND.describe(build(signature=DOUBLE))
    assert not graph.layers
    assert [(node.op, node.fate) for node in graph.loose_nodes] == [("MUL", Fate.UNMAPPED)]


@pytest.mark.parametrize(
    ("inputs", "told"), [({"y": ROWS}, "no input x"), ({"x": ROWS[0]}, r"\[4\]"), ({"x": ROWS.astype(np.float64)}, "float64")]
)
def test_wrong_inputs_are_refused(build: Any, inputs: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        run(build(), **inputs)
    assert "x: float32 [batch, 4]" in caught.value.hint


def test_ops_without_a_kernel_fail_the_build(build: Any) -> None:
    with pytest.raises(BuildFailed, match="StringUpper") as caught:
        build("custom.tflite", TEXT)
    assert "custom op" in caught.value.hint


def test_a_damaged_file_fails_the_build(build: Any, models: Path) -> None:
    (models / "damaged.tflite").write_bytes((models / "two.tflite").read_bytes()[:200])
    with pytest.raises(BuildFailed, match="cannot load"):
        build("damaged.tflite")


@pytest.mark.parametrize("config", [{"options": {"xnnpack": "maybe"}}, {"device": "cuda"}, {"variant": "xla"}, {"threads": 0}])
def test_a_config_it_does_not_have_is_refused(build: Any, config: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        build(**config)


def test_an_unknown_signature_is_refused(build: Any) -> None:
    with pytest.raises(InvalidRequest, match="no signature 'serving_default'"):
        build(signature=TEXT)
