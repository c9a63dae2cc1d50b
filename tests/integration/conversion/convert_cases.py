"""Makes small models, converts them, and keeps the source models' own outputs; a script, for a process of its own."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from core.base.errors import EngineRoomError, Failure
from core.base.lean import import_keras, import_tensorflow
from core.base.progress import silent
from core.base.serialization import write_json
from core.base.tensors import Signature
from core.conversion.base import Conversion
from core.conversion.onnx_from_graphdef import OnnxFromGraphDef
from core.conversion.onnx_from_savedmodel import OnnxFromSavedModel
from core.conversion.onnx_from_tflite import OnnxFromTflite
from core.conversion.savedmodel_from_keras import SavedModelFromKeras
from core.conversion.tflite_from_savedmodel import TfliteFromSavedModel
from core.models.axes import RawTensor, with_symbols
from core.models.keras_model import read_keras
from core.models.model import Format, Source
from core.models.savedmodel import read_savedmodel
from core.models.tflite import read_tflite
from sample_models.make_models import sample

keras, tf = import_keras(), import_tensorflow()
Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
Feeds = list[dict[str, np.ndarray]]
RNG = np.random.default_rng(0)
SPEC = tf.TensorSpec


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def convert(folder: Path, conversion: Conversion, source: Source, run: Run | None, feeds: Feeds) -> None:
    """Leaves `out/` and `converted.json` or `error.json` in the folder, and the source's outputs for each feed."""
    out = folder / "out"
    out.mkdir(parents=True)
    try:
        write_json(folder / "converted.json", conversion.convert(source, out, silent))
    except EngineRoomError as error:
        write_json(folder / "error.json", Failure.of(error))
        return
    for index, feed in enumerate(feeds):
        np.savez(folder / f"inputs-{index}.npz", **feed)
        np.savez(folder / f"outputs-{index}.npz", **run(feed))


def signature_of(path: Path, name: str) -> Signature:
    return next(found for found in read_savedmodel(path).signatures if found.name == name)


def run_savedmodel(path: Path, name: str) -> Run:
    loaded = tf.saved_model.load(str(path), tags=["serve"])

    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        fed = {key: tf.constant(value.astype(object) if value.dtype.kind == "U" else value) for key, value in feed.items()}
        return {key: value.numpy() for key, value in loaded.signatures[name](**fed).items()}

    return run


def savedmodel_case(folder: Path, path: Path, feeds: Feeds, name: str = "serving_default", **options: Any) -> None:
    source = Source(path=path, format=Format.SAVEDMODEL, signature=signature_of(path, name))
    convert(folder, OnnxFromSavedModel(**options), source, run_savedmodel(path, name), feeds)


def exported(folder: Path, function: Any, *specs: tf.TensorSpec, **members: Any) -> Path:
    """A SavedModel of one function."""
    module = tf.Module()
    for key, value in members.items():
        setattr(module, key, value)
    module.function = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(folder / "source"), signatures=module.function)
    return folder / "source"


def small_cnn() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3), name="image")
    hidden = keras.layers.Conv2D(8, 3, name="conv")(image)
    hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    hidden = keras.layers.Activation("gelu", name="gelu")(hidden)
    model = keras.Model(image, keras.layers.Dense(5, name="scores")(keras.layers.GlobalAveragePooling2D()(hidden)))
    norm = model.get_layer("norm")
    norm.moving_mean.assign(normal(8) * 0.1)
    norm.moving_variance.assign(RNG.uniform(0.5, 2, 8))
    return model


IMAGES: Feeds = [{"image": normal(1, 16, 16, 3)}, {"image": normal(3, 16, 16, 3)}]


def cnn(folder: Path) -> None:
    small_cnn().export(folder / "source", verbose=False)
    savedmodel_case(folder, folder / "source", IMAGES)


def large(folder: Path) -> None:
    """Weights that are moved to a file, one of them used in a loop, and one that is too small; converted as if huge."""
    wide, square, back, small = (tf.Variable(normal(*shape) / 16) for shape in ((8, 300), (300, 300), (300, 8), (8, 4)))

    def wander(x: tf.Tensor) -> dict[str, tf.Tensor]:
        _, hidden = tf.while_loop(lambda i, _: i < 3, lambda i, h: (i + 1, tf.tanh(h @ square)), (0, x @ wide))
        return {"y": hidden @ back @ small}

    weights = {"wide": wide, "square": square, "back": back, "small": small}
    path = exported(folder, wander, SPEC((None, 8), tf.float32, "x"), **weights)
    savedmodel_case(folder, path, [{"x": normal(3, 8)}], large_from_bytes=1)


def dynamic_axes(folder: Path) -> None:
    """Ids and a mask, both (batch, sequence)."""
    table, kernel = tf.Variable(normal(50, 8)), tf.Variable(normal(8, 8))

    def encode(ids: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        hidden = tf.gather(table, ids)
        scores = tf.matmul(hidden @ kernel, hidden, transpose_b=True)
        scores += (1 - tf.cast(mask[:, tf.newaxis, :], tf.float32)) * -1e4
        hidden = tf.nn.gelu(tf.nn.softmax(scores) @ hidden, approximate=False)
        return {"hidden": hidden, "pooled": tf.reduce_mean(hidden, 1)}

    ids, mask = SPEC((None, None), tf.int64, "ids"), SPEC((None, None), tf.int32, "mask")
    path = exported(folder, encode, ids, mask, table=table, kernel=kernel)
    shapes = [(1, 7), (3, 4)]
    feeds = [{"ids": RNG.integers(0, 50, s), "mask": (RNG.uniform(size=s) > 0.3).astype(np.int32)} for s in shapes]
    savedmodel_case(folder, path, feeds)


def many_inputs(folder: Path) -> None:
    """Names whose order differs from the arguments', an input that nothing uses, one that is passed on, and a constant."""

    def combine(b: tf.Tensor, a: tf.Tensor, x10: tf.Tensor, x2: tf.Tensor, spare: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"z": a - 2 * b, "y": x10 / x2, "same": a, "three": tf.constant([1.0, 2.0, 3.0])}

    names = ["b", "a", "x10", "x2", "spare"]
    path = exported(folder, combine, *(SPEC((None, 4), tf.float32, name) for name in names))
    savedmodel_case(folder, path, [{name: normal(2, 4) + 5 for name in names}])


def nested_inputs(folder: Path) -> None:
    """A Keras model whose inputs are a dict with a list in it."""
    inputs = {"left": keras.Input((3,), name="left"), "rest": [keras.Input((3,), name="p"), keras.Input((3,), name="q")]}
    difference = keras.ops.subtract(inputs["left"], inputs["rest"][0])
    keras.Model(inputs, keras.ops.multiply(difference, inputs["rest"][1])).export(folder / "source", verbose=False)
    names = [spec.name for spec in signature_of(folder / "source", "serving_default").inputs]
    savedmodel_case(folder, folder / "source", [{name: normal(2, 3) for name in names}])


def erfc(folder: Path) -> None:
    path = exported(folder, lambda x: {"y": tf.math.erfc(x), "g": tf.nn.gelu(x)}, SPEC((None, 6), tf.float32, "x"))
    savedmodel_case(folder, path, [{"x": 2 * normal(4, 6)}])


def one_hot(folder: Path) -> None:
    def spread(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "last": tf.one_hot(ids, 4),
            "first": tf.one_hot(ids, 4, axis=0, on_value=2.0, off_value=-1.0),
            "whole": tf.one_hot(ids, 4, dtype=tf.int32),
            "bytes": tf.one_hot(tf.cast(tf.maximum(ids, 0), tf.uint8), 4),
        }

    path = exported(folder, spread, SPEC((None, 3), tf.int32, "ids"))
    savedmodel_case(folder, path, [{"ids": np.array([[-1, 0, 3], [4, 2, -4]], np.int32)}])


def control_flow(folder: Path) -> None:
    """A loop, a branch, and non-maximum suppression."""

    def detect(boxes: tf.Tensor, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        kept = tf.image.non_max_suppression(boxes, scores, 3, iou_threshold=0.5)
        _, total = tf.while_loop(lambda i, _: i < 3, lambda i, t: (i + 1, t * 2 + tf.reduce_sum(scores)), (0, 0.0))
        return {"kept": kept, "total": tf.cond(total > 5, lambda: total, lambda: -total)}

    path = exported(folder, detect, SPEC((None, 4), tf.float32, "boxes"), SPEC((None,), tf.float32, "scores"))
    corners = RNG.uniform(0, 4, (6, 2)).astype(np.float32)
    feeds = [{"boxes": np.concatenate([corners, corners + 2], 1), "scores": RNG.uniform(size=6).astype(np.float32)}]
    savedmodel_case(folder, path, feeds)


def lookup_table(folder: Path) -> None:
    words = tf.lookup.KeyValueTensorInitializer(tf.constant(["cat", "dog"]), tf.constant([3, 5], tf.int64))
    table = tf.lookup.StaticHashTable(words, -1)
    path = exported(folder, lambda words: {"ids": table.lookup(words)}, SPEC((None,), tf.string, "words"), table=table)
    savedmodel_case(folder, path, [{"words": np.array(["dog", "cow", "cat"])}])


def table_without_translation(folder: Path) -> None:
    numbers = tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), tf.constant([0.5, 0.25]))
    table = tf.lookup.StaticHashTable(numbers, 0.0)
    path = exported(folder, lambda ids: {"w": table.lookup(ids)}, SPEC((None,), tf.int64, "ids"), table=table)
    savedmodel_case(folder, path, [])


def unsupported(folder: Path) -> None:
    """Ops without translation, one of them used twice, ahead of ops that have one."""

    def decode(jpeg: tf.Tensor, x: tf.Tensor) -> dict[str, tf.Tensor]:
        image = tf.cast(tf.io.decode_jpeg(jpeg, channels=3, name="read_jpeg"), tf.float32)
        gamma = tf.math.lgamma(tf.math.lgamma(x, name="inner") + 4, name="outer")
        return {"mean": tf.reduce_mean(image, [0, 1]), "gamma": tf.nn.relu(gamma)}

    savedmodel_case(folder, exported(folder, decode, SPEC((), tf.string, "jpeg"), SPEC((None,), tf.float32, "x")), [])


def name_clash(folder: Path) -> None:
    savedmodel_case(folder, exported(folder, lambda state: {"state": state + 1}, SPEC((None,), tf.float32, "state")), [])


def marked_calls(folder: Path) -> None:
    """Functions for XLA in each other, in a loop and in a branch, as a SavedModel and frozen; and Keras's grouped convolution."""
    kernel = tf.Variable(normal(4, 4))

    @tf.function(jit_compile=True)
    def inner(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(x @ kernel)

    @tf.function(jit_compile=True)
    def outer(x: tf.Tensor) -> tf.Tensor:
        return inner(x) + 1.0

    def compute(x: tf.Tensor) -> dict[str, tf.Tensor]:
        _, looped = tf.while_loop(lambda i, _: i < 3, lambda i, h: (i + 1, outer(h)), (0, x))
        return {"y": tf.tanh(outer(x)) + looped + tf.cond(tf.reduce_sum(x) > 0, lambda: outer(x), lambda: inner(x))}

    path = exported(folder, compute, SPEC((None, 4), tf.float32, "x"), kernel=kernel)
    feeds = [{"x": normal(3, 4)}, {"x": -np.abs(normal(2, 4))}]
    savedmodel_case(folder, path, feeds)
    savedmodel_case(folder.with_name("marked_calls_large"), path, feeds, large_from_bytes=1)

    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    traced = tf.function(compute, input_signature=[SPEC((None, 4), tf.float32, "x")]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced)
    file = folder / "frozen.pb"
    file.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    name = frozen.outputs[0].name.removesuffix(":0")
    ends = [[RawTensor(name=end, dtype="float32", shape=(None, 4))] for end in ("x", name)]
    source = Source(path=file, format=Format.GRAPHDEF, signature=with_symbols("main", *ends))
    for case, options in (("marked_graphdef", {}), ("marked_graphdef_large", {"large_from_bytes": 1})):
        convert(
            folder.with_name(case),
            OnnxFromGraphDef(**options),
            source,
            lambda feed: {name: compute(feed["x"])["y"].numpy()},
            feeds,
        )

    image = keras.Input((8, 8, 4), name="image")
    grouped = keras.Model(image, keras.layers.Conv2D(6, 3, groups=2, name="grouped")(image))
    (folder.with_name("grouped")).mkdir()
    grouped.export(folder.with_name("grouped") / "source", verbose=False)
    savedmodel_case(folder.with_name("grouped"), folder.with_name("grouped") / "source", [{"image": normal(2, 8, 8, 4)}])


def tf1(folder: Path) -> None:
    """Graph mode: a reference variable, a resource variable, batch normalization by hand, two signatures."""
    v1 = tf.compat.v1
    path = folder / "source"
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, (None, 6), name="images")
        reference = v1.get_variable("reference", initializer=normal(6, 5), use_resource=False)
        resource = v1.get_variable("resource", initializer=normal(5, 2), use_resource=True)
        hidden = tf.nn.relu(tf.matmul(images, reference))
        scores = tf.matmul(hidden, resource, name="scores")
        session.run(v1.global_variables_initializer())
        build = v1.saved_model.signature_def_utils.predict_signature_def
        signatures = {"predict": build({"x": images}, {"scores": scores}), "hidden": build({"x": images}, {"h": hidden})}
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.add_meta_graph(["serve", "gpu"], signature_def_map=signatures)
        builder.save()
    savedmodel_case(folder, path, [{"x": normal(3, 6)}], "predict")
    savedmodel_case(folder.with_name("tf1_hidden"), path, [{"x": normal(3, 6)}], "hidden")


def two_signatures(folder: Path) -> None:
    path = sample("two_signatures")
    savedmodel_case(folder.with_name("encode"), path, [{"signal": normal(3, 16)}], "encode")
    savedmodel_case(folder.with_name("decode"), path, [{"code": normal(3, 4)}], "decode")
    signature = Signature(name="gone", inputs=(), outputs=())
    convert(
        folder.with_name("no_signature"),
        OnnxFromSavedModel(),
        Source(path=path, format=Format.SAVEDMODEL, signature=signature),
        None,
        [],
    )


def graphdef(folder: Path) -> None:
    """A frozen graph, whole; and cut: fed in the middle, fetched at a node's second output."""
    kernel = tf.Variable(normal(4, 600))

    @tf.function(input_signature=[SPEC((None, 4), name="x"), SPEC((None, 4), name="noise")])
    def best(x: tf.Tensor, noise: tf.Tensor) -> Any:
        hidden = tf.nn.relu(tf.identity(x + noise, name="middle") @ kernel, name="hidden")
        return tf.math.top_k(hidden, 2, name="top")

    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    graph = convert_variables_to_constants_v2(best.get_concrete_function()).graph.as_graph_def()
    folder.mkdir()
    path = folder / "frozen.pb"
    path.write_bytes(graph.SerializeToString())

    def run(feeds: list[str], fetches: list[str]) -> Run:
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
        ends = [[wrapped.graph.as_graph_element(n if ":" in n else f"{n}:0") for n in names] for names in (feeds, fetches)]
        pruned = wrapped.prune(*ends)
        return lambda feed: {n: v.numpy() for n, v in zip(fetches, pruned(*map(tf.constant, feed.values())), strict=True)}

    rows = (None, 4)
    for name, feeds, fetches in (
        ("graphdef_whole", ["x", "noise"], ["hidden", "top"]),
        ("graphdef_cut", ["middle"], ["top:1"]),
        ("graphdef_wrong", ["x", "noise"], ["elsewhere"]),
    ):
        inputs = [RawTensor(name=feed, dtype="float32", shape=rows) for feed in feeds]
        signature = with_symbols("main", inputs, [RawTensor(name=fetch, dtype="float32", shape=None) for fetch in fetches])
        source = Source(path=path, format=Format.GRAPHDEF, signature=signature)
        data = [] if name == "graphdef_wrong" else [{feed: normal(3, 4) for feed in feeds}]
        convert(folder.with_name(name), OnnxFromGraphDef(), source, run(feeds, fetches) if data else None, data)
        if data:
            large = OnnxFromGraphDef(large_from_bytes=1)
            convert(folder.with_name(f"{name}_large"), large, source, run(feeds, fetches), data)


def run_tflite(path: Path, name: str) -> Run:
    runner = tf.lite.Interpreter(str(path)).get_signature_runner(name)
    return lambda feed: runner(**feed)


def tflite(folder: Path) -> None:
    """SavedModel to TFLite, that to ONNX, and the same quantized; and TFLite's approximate GELU."""
    path = folder / "source"
    small_cnn().export(path, verbose=False)
    source = Source(path=path, format=Format.SAVEDMODEL, signature=signature_of(path, "serving_default"))
    convert(folder.with_name("to_tflite"), TfliteFromSavedModel(), source, run_savedmodel(path, "serving_default"), IMAGES)

    lite = folder.with_name("to_tflite") / "out" / "model.tflite"
    quantizing = tf.lite.TFLiteConverter.from_saved_model(str(path))
    quantizing.optimizations = [tf.lite.Optimize.DEFAULT]
    quantizing.representative_dataset = lambda: ([normal(1, 16, 16, 3)] for _ in range(20))
    quantizing.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantizing.inference_input_type = tf.int8
    quantized = folder / "int8.tflite"
    quantized.write_bytes(quantizing.convert())
    for name, file, feeds in (
        ("from_tflite", lite, IMAGES[:1]),
        ("from_int8", quantized, [{"image": RNG.integers(-128, 127, (1, 16, 16, 3)).astype(np.int8)}]),
    ):
        (signature,) = read_tflite(file).signatures
        source = Source(path=file, format=Format.TFLITE, signature=signature)
        convert(folder.with_name(name), OnnxFromTflite(), source, run_tflite(file, signature.name), feeds)

    tanh = exported(folder / "tanh", lambda x: {"y": tf.nn.gelu(x, approximate=True)}, SPEC((2, 6), tf.float32, "x"))
    approximate = folder / "tanh.tflite"
    approximate.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tanh)).convert())
    (signature,) = read_tflite(approximate).signatures
    source = Source(path=approximate, format=Format.TFLITE, signature=signature)
    convert(
        folder.with_name("from_tanh"), OnnxFromTflite(), source, run_tflite(approximate, signature.name), [{"x": normal(2, 6)}]
    )


def tflite_flex(folder: Path) -> None:
    """An op that only TensorFlow's own runtime has, and one that nobody has."""
    for name, function, spec in (
        ("flex", lambda x: {"y": tf.linalg.det(x)}, SPEC((None, 3, 3), tf.float32, "x")),
        ("custom", lambda x: {"y": tf.strings.unicode_script(x, name="script")}, SPEC((None,), tf.int32, "x")),
    ):
        place = folder.with_name(f"tflite_{name}")
        place.mkdir(exist_ok=True)
        path = exported(place, function, spec)
        source = Source(path=path, format=Format.SAVEDMODEL, signature=signature_of(path, "serving_default"))
        convert(place, TfliteFromSavedModel(), source, None, [])


def run_keras(model: keras.Model, output: str) -> Run:
    return lambda feed: {output: model(feed["image"], training=False).numpy()}


def keras_files(folder: Path) -> None:
    folder.mkdir()
    model = small_cnn()
    for name in ("from_keras", "from_h5"):
        path = folder / f"model.{name.removeprefix('from_')}"
        model.save(path)
        (signature,) = read_keras(path).signatures
        source = Source(path=path, format=Format.KERAS, signature=signature)
        run = run_keras(model, signature.outputs[0].name)
        convert(folder.with_name(name), SavedModelFromKeras(), source, run, IMAGES)
        saved = folder.with_name(name) / "out"
        onward = Source(path=saved, format=Format.SAVEDMODEL, signature=signature)
        convert(folder.with_name(f"{name}_to_onnx"), OnnxFromSavedModel(), onward, run, IMAGES)

    @keras.saving.register_keras_serializable()
    class Twice(keras.layers.Layer):
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return inputs * 2

    keras.Sequential([keras.Input((5,), name="x"), Twice(name="twice")]).save(folder / "custom.keras")
    keras.saving.get_custom_objects().clear()
    row = RawTensor(name="x", dtype="float32", shape=(None, 5))
    source = Source(path=folder / "custom.keras", format=Format.KERAS, signature=with_symbols("main", [row], [row]))
    convert(folder.with_name("custom_keras"), SavedModelFromKeras(), source, None, [])


CASES = (
    cnn, large, dynamic_axes, many_inputs, nested_inputs, erfc, one_hot, control_flow, lookup_table, table_without_translation,
    unsupported, name_clash, marked_calls, tf1, two_signatures, graphdef, tflite, tflite_flex, keras_files,
)  # fmt: skip


def main(root: Path) -> None:
    for make in CASES:
        try:
            make(root / make.__name__)
        except Exception:
            (root / make.__name__).mkdir(exist_ok=True)
            (root / make.__name__ / "traceback.txt").write_text(traceback.format_exc())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
