"""Makes one small model of each TensorFlow and Keras kind below a folder; run as a script, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from core.base.lean import import_keras, import_tensorflow

keras, tf = import_keras(), import_tensorflow()


def two_signatures(folder: Path) -> None:
    """`serving_default` uses a 4x3 kernel inside a loop inside a branch; `embed` uses a 10x4 table alone."""

    class Module(tf.Module):
        def __init__(self) -> None:
            self.kernel = tf.Variable(np.ones((4, 4), np.float32), name="kernel")
            self.table = tf.Variable(np.ones((10, 4), np.float32), name="table")
            self.unused = tf.Variable(np.ones((1000,), np.float32), name="unused")

        @tf.function(input_signature=[tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None), tf.int32)])
        def serve(self, features: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
            def loop() -> tf.Tensor:
                return tf.while_loop(lambda i, _: i < 3, lambda i, h: (i + 1, h @ self.kernel), (0, features))[1]

            hidden = tf.cond(tf.reduce_sum(mask) > 0, loop, lambda: features)
            return {"hidden": hidden, "pooled": tf.reduce_mean(hidden, axis=1)}

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int64), tf.TensorSpec((None, None), tf.int64)])
        def embed(self, ids: tf.Tensor, segments: tf.Tensor) -> tf.Tensor:
            return tf.gather(self.table, ids + segments)

    module = Module()
    signatures = {"embed": module.embed.get_concrete_function(), "serving_default": module.serve.get_concrete_function()}
    tf.saved_model.save(module, str(folder), signatures=signatures)


def tf1_savedmodel(folder: Path) -> None:
    """A graph with a reference variable, a resource variable, a constant weight and two signatures."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, (None, 6), name="images")
        reference = v1.get_variable("reference", (6, 5), use_resource=False)
        resource = v1.get_variable("resource", (5, 2), use_resource=True)
        hidden = tf.matmul(images, reference) @ tf.constant(np.eye(5, dtype=np.float32))
        scores = tf.matmul(hidden, resource, name="scores")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder.parent / "saver" / "model.ckpt"))
        builder = v1.saved_model.Builder(str(folder))
        build = v1.saved_model.signature_def_utils.predict_signature_def
        signatures = {"predict": build({"x": images}, {"scores": scores}), "hidden": build({"x": images}, {"h": hidden})}
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


def keras_model() -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, name="conv")(image)
    hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    hidden = keras.layers.Dropout(0.5)(keras.layers.Flatten()(hidden))
    model = keras.Model(image, keras.layers.Dense(10, name="scores")(hidden))
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 10)), verbose=0)
    return model


def keras_files(folder: Path) -> None:
    model = keras_model()
    model.export(folder / "keras_export", verbose=False)
    model.save(folder / "functional.keras")
    model.save(folder / "functional.h5")
    model.save_weights(folder / "only.weights.h5")
    (folder / "architecture.json").write_text(model.to_json())
    layers = [keras.Input((None, 5), name="steps"), keras.layers.LSTM(3, name="lstm"), keras.layers.Dense(2, name="out")]
    keras.Sequential(layers).save(folder / "sequential.keras")

    @keras.saving.register_keras_serializable()
    class Twice(keras.layers.Layer):
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return inputs * 2

    keras.Sequential([keras.Input((5,), name="x"), keras.layers.Dense(2), Twice(name="twice")]).save(folder / "custom.keras")


def frozen_and_tflite(folder: Path) -> None:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    kernel = tf.Variable(np.ones((300, 7), np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, 300), name="x")])
    def function(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": tf.nn.softmax(x @ kernel), "best": tf.argmax(x @ kernel, axis=1)}

    module = tf.Module()
    module.kernel, module.function = kernel, function
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    (folder / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    tf.io.write_graph(frozen.graph, str(folder), "frozen.pbtxt")
    tf.saved_model.save(module, str(folder / "dense"), signatures={"serving_default": function})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "dense"))
    (folder / "float.tflite").write_bytes(converter.convert())
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "dense"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    (folder / "int8.tflite").write_bytes(converter.convert())
    tf.train.Checkpoint(kernel=kernel).write(str(folder / "checkpoint" / "ckpt"))


def make(folder: Path) -> None:
    two_signatures(folder / "two_signatures")
    tf1_savedmodel(folder / "tf1")
    keras_files(folder)
    frozen_and_tflite(folder)
    tf.saved_model.save(tf.Module(), str(folder / "no_signatures"))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
