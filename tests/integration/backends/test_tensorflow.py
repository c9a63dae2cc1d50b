"""The TensorFlow backend on tiny real models: every format and variant, its artifacts, its layers and its refusals."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.backends.base import BuildConfig, Engine
from core.backends.tensorflow import BACKEND
from core.base.errors import BuildFailed, EngineRoomError, InvalidRequest, RunFailed, Unavailable
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import Progress, silent
from core.base.tensors import Signature, TensorSpec
from core.graph.engine_graph import EngineGraph, Fate
from core.models.model import Format, Source

VARIANTS = ("signature", "frozen", "xla")


def spec(name: str, dtype: str = "float32", *shape: int | str) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


IMAGE = Signature(
    name="serving_default",
    inputs=(spec("image", "float32", "batch", 8, 8, 3),),
    outputs=(spec("output_0", "float32", "batch", 5),),
)
BRANCHES = Signature(
    name="branches",
    inputs=(spec("x", "float32", "batch", 4), spec("flag", "bool")),
    outputs=(spec("y", "float32", "batch", 5), spec("big", "bool", "batch"), spec("half", "bfloat16", "batch", 5)),
)
WORDS = Signature(
    name="words",
    inputs=(spec("words", "string", "batch"),),
    outputs=(TensorSpec(name="ids", dtype="int64", shape=None), spec("upper", "string", "batch")),
)
STEPS = Signature(name="steps", inputs=(spec("start", "int32"),), outputs=(spec("end", "int32"),))
OLD = Signature(
    name="serving_default",
    inputs=(spec("zeta", "float32", "batch", 4), spec("alpha", "float32", "batch", 4)),
    outputs=(spec("scores", "float32", "batch", 3), spec("difference", "float32", "batch", 4)),
)
GRAPH = Signature(
    name="graph", inputs=(spec("left:0", "float32", "batch", 4), spec("right", "float32", "batch", 4)), outputs=(spec("scores"),)
)
TWO_INPUTS = Signature(
    name="serving_default",
    inputs=(spec("ids", "int32", "batch", "length"), spec("weight", "float32", "batch", 1)),
    outputs=(spec("mean", "float32", "batch", 6), spec("sum", "float32", "batch", 6)),
)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorflow-models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _make_keras(folder)
        _make_module(folder)
        _make_old(folder, resource=False)
        _make_old(folder, resource=True)
    return folder


def _make_keras(folder: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", bias_initializer="uniform", name="first")(image)
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="second")(x)
    x = keras.layers.BatchNormalization(beta_initializer="uniform", name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    cnn = keras.Model(image, keras.layers.Dense(5, bias_initializer="uniform", activation="softmax", name="probabilities")(x))
    cnn.save(folder / "cnn.keras")
    cnn.export(str(folder / "cnn"), verbose=False)

    ids, weight = keras.Input((None,), dtype="int32", name="ids"), keras.Input((1,), name="weight")
    embedded = keras.layers.Embedding(10, 6)(ids)
    mean = keras.layers.GlobalAveragePooling1D()(embedded) * weight
    keras.Model([weight, ids], {"sum": keras.ops.sum(embedded, axis=1), "mean": mean}).save(folder / "two_inputs.keras")


def _make_module(folder: Path) -> None:
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32))
            entries = tf.lookup.KeyValueTensorInitializer(["cat", "dog"], tf.constant([1, 2], tf.int64))
            self.table = tf.lookup.StaticHashTable(entries, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x"), tf.TensorSpec([], tf.bool, name="flag")])
        def branches(self, x: Any, flag: Any) -> dict[str, Any]:
            y = tf.cond(flag, lambda: x @ self.weight, lambda: -(x @ self.weight))
            return {"y": y, "big": tf.reduce_any(y > 1.0, axis=1), "half": tf.cast(y, tf.bfloat16)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
        def words(self, words: Any) -> dict[str, Any]:
            return {"ids": self.table.lookup(words), "upper": tf.strings.upper(words, encoding="utf-8")}

        @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="start")])
        def steps(self, start: Any) -> dict[str, Any]:
            return {"end": tf.while_loop(lambda i: i < 10, lambda i: (i * 2 + 1,), [start])[0]}

    module = Module()
    signatures = {"branches": module.branches, "words": module.words, "steps": module.steps}
    tf.saved_model.save(module, str(folder / "module"), signatures=signatures)


def _make_old(folder: Path, *, resource: bool) -> None:
    """A SavedModel and graphs in TensorFlow 1's ways, with names whose sorted order is not their own."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session() as session:
        left, right = v1.placeholder(tf.float32, [None, 4], "left"), v1.placeholder(tf.float32, [None, 4], "right")
        weight = v1.get_variable("weight", [4, 3], use_resource=resource, initializer=v1.ones_initializer())
        difference = tf.subtract(left, right, name="difference")
        scores = tf.nn.relu(difference @ weight, name="scores")
        session.run(v1.global_variables_initializer())
        ends = {"zeta": left, "alpha": right}, {"scores": scores, "difference": difference}
        v1.saved_model.simple_save(session, str(folder / ("old_resource" if resource else "old")), *ends)
        if resource:
            return
        definition = graph.as_graph_def()
        (folder / "unfrozen.pb").write_bytes(definition.SerializeToString())
        constants = v1.graph_util.convert_variables_to_constants(session, definition, ["scores"])
        (folder / "graph.pb").write_bytes(constants.SerializeToString())


MODELS = {
    "cnn": ("cnn", Format.SAVEDMODEL, IMAGE),
    "keras": ("cnn.keras", Format.KERAS, IMAGE),
    "two inputs": ("two_inputs.keras", Format.KERAS, TWO_INPUTS),
    "branches": ("module", Format.SAVEDMODEL, BRANCHES),
    "words": ("module", Format.SAVEDMODEL, WORDS),
    "steps": ("module", Format.SAVEDMODEL, STEPS),
    "old": ("old", Format.SAVEDMODEL, OLD),
    "old resource": ("old_resource", Format.SAVEDMODEL, OLD),
    "graph": ("graph.pb", Format.GRAPHDEF, GRAPH),
}


@pytest.fixture(scope="session")
def engine(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Builds a model by its name, once for each variant."""
    built: dict[tuple[str, str], Engine] = {}

    def build(name: str, variant: str = "signature") -> Engine:
        if (name, variant) not in built:
            file, kind, signature = MODELS[name]
            source = Source(path=models / file, format=kind, signature=signature)
            folder = tmp_path_factory.mktemp("engine")
            built[name, variant] = BACKEND.build(source, BuildConfig(variant=variant, threads=2), folder, silent)
        return built[name, variant]

    return build


def run(engine: Engine, **inputs: Any) -> dict[str, np.ndarray]:
    with BACKEND.open(engine) as session:
        return session.run(inputs)


def accounted(graph: EngineGraph) -> EngineGraph:
    """The graph, after a check that every source node is in a layer or among the loose ones, and never both."""
    carried = {name for layer in graph.layers for name in layer.source_nodes}
    loose = {node.name for node in graph.loose_nodes}
    assert carried | loose == {node.name for node in graph.source_nodes}
    assert not carried & loose
    assert len({layer.name for layer in graph.layers}) == len(graph.layers)
    return graph


IMAGES = np.random.default_rng(2).random((3, 8, 8, 3), dtype=np.float32)
ROWS = np.random.default_rng(3).random((2, 4), dtype=np.float32)


@pytest.mark.parametrize("name", ["cnn", "keras"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cnn_gives_what_keras_gives(engine: Any, models: Path, name: str, variant: str) -> None:
    import keras

    expected = keras.models.load_model(models / "cnn.keras").predict(IMAGES, verbose=0)
    np.testing.assert_allclose(run(engine(name, variant), image=IMAGES)["output_0"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_keras_inputs_and_outputs_go_by_name(engine: Any, variant: str) -> None:
    ids = np.array([[1, 2, 3]], np.int32)
    once = run(engine("two inputs", variant), ids=ids, weight=np.array([[1.0]], np.float32))
    twice = run(engine("two inputs", variant), ids=ids, weight=np.array([[2.0]], np.float32))
    np.testing.assert_allclose(once["sum"], once["mean"] * 3, rtol=1e-5)
    np.testing.assert_allclose(twice["mean"], once["mean"] * 2, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_branches_booleans_and_bfloat16(engine: Any, variant: str) -> None:
    built = engine("branches", variant)
    plus, minus = run(built, x=ROWS, flag=np.array(True)), run(built, x=ROWS, flag=np.array(False))
    np.testing.assert_allclose(plus["y"], -minus["y"], rtol=1e-5)
    np.testing.assert_array_equal(plus["big"], (plus["y"] > 1).any(axis=1))
    assert plus["half"].dtype.name == "bfloat16"
    np.testing.assert_allclose(plus["half"].astype(np.float32), plus["y"], rtol=1e-2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loop_runs(engine: Any, variant: str) -> None:
    assert run(engine("steps", variant), start=np.array(3, np.int32))["end"] == 15


def test_text_goes_in_and_comes_out(engine: Any) -> None:
    told = run(engine("words"), words=np.array(["dog", "zébu"]))
    assert told["ids"].tolist() == [2, -1]
    assert told["upper"].tolist() == ["DOG", "ZÉBU"]


@pytest.mark.parametrize("name", ["old", "old resource"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_tensorflow_1_keeps_its_names_apart(engine: Any, name: str, variant: str) -> None:
    told = run(engine(name, variant), zeta=ROWS, alpha=ROWS / 2)
    np.testing.assert_allclose(told["difference"], ROWS / 2, rtol=1e-6)
    np.testing.assert_allclose(told["scores"], (ROWS / 2) @ np.ones((4, 3)), rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_graph_runs_between_its_named_tensors(engine: Any, variant: str) -> None:
    told = run(engine("graph", variant), **{"left:0": ROWS, "right": -ROWS})
    np.testing.assert_allclose(told["scores"], (2 * ROWS) @ np.ones((4, 3)), rtol=1e-5)


def test_artifacts_are_what_a_deployment_takes(engine: Any, models: Path) -> None:
    import tensorflow as tf

    signature, frozen, keras = engine("cnn"), engine("cnn", "frozen"), engine("keras", "xla")
    assert tf.saved_model.contains_saved_model(str(signature.folder / signature.artifact))
    files = [file for file in (models / "cnn").rglob("*") if file.is_file()]
    assert signature.size_bytes == sum(file.stat().st_size for file in files)
    graph = tf.compat.v1.GraphDef.FromString((frozen.folder / frozen.artifact / "graph.pb").read_bytes())
    assert not [node.op for node in graph.node if "Variable" in node.op]
    assert frozen.size_bytes < signature.size_bytes
    assert keras.artifact == "model.keras"
    assert {"numpy", "keras"} < set(signature.versions)


def test_progress_tells_the_long_steps(models: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    source = Source(path=models / "cnn", format=Format.SAVEDMODEL, signature=IMAGE)
    BACKEND.build(source, BuildConfig(variant="xla"), tmp_path, told.append)
    assert [progress.message for progress in told] == ["Loading the model into TensorFlow", "Compiling with XLA"]


def test_the_signature_runs_every_operation_of_its_graph(engine: Any) -> None:
    graph = accounted(BACKEND.describe(engine("cnn")))
    first = next(layer for layer in graph.layers if layer.attributes.get("fused_ops") == "BiasAdd, Relu")
    assert {name.rpartition("/")[2] for name in first.source_nodes} == {"convolution", "BiasAdd", "Relu"}
    assert first.precision == "float32"
    assert first.outputs[0].shape == (1, 8, 8, 8)
    assert not graph.unmapped
    assert "ReadVariableOp" in graph.kinds


def test_freezing_folds_the_normalisation_into_constants(engine: Any) -> None:
    graph = accounted(BACKEND.describe(engine("cnn", "frozen")))
    folded = {node.name for node in graph.loose_nodes if node.fate is Fate.FOLDED}
    assert any(name.endswith("batchnorm/Rsqrt") for name in folded)
    assert any("second" in name and name.endswith("ReadVariableOp") for name in folded)
    assert len(graph.layers) < len(BACKEND.describe(engine("cnn")).layers)
    assert not graph.unmapped


def test_xla_layers_are_instructions_with_the_nodes_fused_into_them(engine: Any) -> None:
    graph = accounted(BACKEND.describe(engine("cnn", "xla")))
    assert not graph.unmapped
    assert {"convolution", "fusion"} <= set(graph.kinds)
    fused = next(layer for layer in graph.layers if any(name.endswith("norm_1/batchnorm/mul_1") for name in layer.source_nodes))
    assert len(fused.source_nodes) > 3
    convolution = next(layer for layer in graph.layers if layer.kind == "convolution")
    assert convolution.outputs[0].shape == (1, 8, 8, 8)
    assert convolution.outputs[0].dtype == "float32"


@pytest.mark.parametrize("name", ["branches", "steps", "old", "old resource", "graph", "two inputs"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_source_node_is_accounted_for(engine: Any, name: str, variant: str) -> None:
    graph = accounted(BACKEND.describe(engine(name, variant)))
    assert graph.layers
    assert graph.source_nodes
    assert not graph.unmapped


def test_an_engine_described_twice_is_the_same(engine: Any) -> None:
    assert BACKEND.describe(engine("cnn")) == BACKEND.describe(engine("cnn"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_layer_times_are_named_as_the_layers(engine: Any, variant: str) -> None:
    built = engine("cnn", variant)
    times = BACKEND.layer_times(built, {"image": IMAGES[:1]}, runs=3)
    layers = {layer.name: layer for layer in BACKEND.describe(built).layers}
    assert set(times) <= set(layers)
    assert all(time > 0 for time in times.values())
    assert any("onv" in layers[name].kind for name in times)


def test_the_profile_decides_the_shapes_of_the_layers(models: Path, tmp_path: Path) -> None:
    profile = ShapeProfile(axes={"batch": AxisRange(min=1, opt=4, max=4)})
    source = Source(path=models / "cnn", format=Format.SAVEDMODEL, signature=IMAGE)
    built = BACKEND.build(source, BuildConfig(variant="frozen", profile=profile), tmp_path, silent)
    shapes = {tensor.shape for layer in BACKEND.describe(built).layers for tensor in layer.outputs}
    assert (4, 5) in shapes


def test_two_sessions_live_side_by_side(engine: Any) -> None:
    with BACKEND.open(engine("cnn")) as one, BACKEND.open(engine("keras", "frozen")) as other:
        np.testing.assert_allclose(
            one.run({"image": IMAGES})["output_0"], other.run({"image": IMAGES})["output_0"], rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "no input image"),
        ({"image": IMAGES.astype(np.float64)}, "float64"),
        ({"image": IMAGES[:, :4]}, r"\[3, 4, 8, 3\]"),
        ({"image": IMAGES, "mask": ROWS}, "unknown input mask"),
    ],
)
def test_wrong_inputs_are_refused(engine: Any, inputs: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        run(engine("cnn"), **inputs)
    assert "image: float32 [batch, 8, 8, 3]" in caught.value.hint


def test_a_failure_at_run_time_says_why(engine: Any) -> None:
    far = np.array([[1, 99]], np.int32)
    with pytest.raises(RunFailed, match="99"):
        run(engine("two inputs"), ids=far, weight=np.ones((1, 1), np.float32))


@pytest.mark.parametrize(
    ("name", "variant", "told"),
    [("words", "frozen", "LookupTableFindV2"), ("words", "xla", "text inputs")],
)
def test_what_a_variant_cannot_do_is_named_when_building(engine: Any, name: str, variant: str, told: str) -> None:
    with pytest.raises(BuildFailed, match=told) as caught:
        engine(name, variant)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("file", "kind", "signature", "config", "error", "told"),
    [
        ("cnn", Format.SAVEDMODEL, BRANCHES, BuildConfig(variant="signature"), InvalidRequest, "no signature 'branches'"),
        ("graph.pb", Format.GRAPHDEF, IMAGE, BuildConfig(variant="signature"), InvalidRequest, "image"),
        ("unfrozen.pb", Format.GRAPHDEF, GRAPH, BuildConfig(variant="signature"), BuildFailed, "without values: weight"),
        ("cnn", Format.SAVEDMODEL, IMAGE, BuildConfig(variant="turbo"), InvalidRequest, "turbo"),
        ("cnn", Format.SAVEDMODEL, IMAGE, BuildConfig(variant="signature", device="cuda"), Unavailable, "GPU"),
        ("nothing", Format.SAVEDMODEL, IMAGE, BuildConfig(variant="signature"), BuildFailed, "Loading the model failed"),
    ],
)
def test_a_build_that_cannot_be_is_refused(
    models: Path,
    tmp_path: Path,
    file: str,
    kind: Format,
    signature: Signature,
    config: BuildConfig,
    error: type[EngineRoomError],
    told: str,
) -> None:
    with pytest.raises(error, match=told):
        BACKEND.build(Source(path=models / file, format=kind, signature=signature), config, tmp_path, silent)
