"""Run as a program: writes a model in every format of TensorFlow's world, and what it answers to the inputs beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from core.base.lean import import_keras, import_tensorflow

keras, tf = import_keras(), import_tensorflow()


class Small(tf.Module):
    """A convolution, a residual sum and a classifier; two inputs, two outputs, a dynamic batch."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.constants = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 3, 3, 4), (4, 5), (5,))]
        self.kernel, self.weights, self.bias = (tf.Variable(value) for value in self.constants)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image"),
            tf.TensorSpec([None, 5], tf.float32, name="shift"),
        ]
    )
    def classify(self, image: tf.Tensor, shift: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.nn.relu(tf.nn.conv2d(image, self.kernel, strides=1, padding="SAME"))
        pooled = tf.reduce_mean(found, axis=[1, 2])
        logits = tf.nn.bias_add(pooled @ self.weights, self.bias) + shift
        return {"probabilities": tf.nn.softmax(logits), "pooled": pooled}


def keras_model(small: Small) -> keras.Model:
    """The same in Keras's layers."""
    image, shift = keras.Input((8, 8, 3), name="image"), keras.Input((5,), name="shift")
    convolution = keras.layers.Conv2D(4, 3, padding="same", activation="relu", use_bias=False)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(convolution(image))
    dense = keras.layers.Dense(5)
    probabilities = keras.layers.Softmax(name="probabilities")(keras.layers.Add()([dense(pooled), shift]))
    model = keras.Model([image, shift], {"probabilities": probabilities, "pooled": pooled})
    convolution.set_weights([small.kernel.numpy()])
    dense.set_weights([small.weights.numpy(), small.bias.numpy()])
    return model


def frozen_graph(small: Small) -> tf.compat.v1.GraphDef:
    """The same with constants for weights, and tensors of the signature's names."""
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="image")
        shift = tf.compat.v1.placeholder(tf.float32, [None, 5], name="shift")
        found = tf.nn.relu(tf.nn.conv2d(image, small.constants[0], strides=1, padding="SAME"))
        pooled = tf.identity(tf.reduce_mean(found, axis=[1, 2]), name="pooled")
        tf.nn.softmax(tf.nn.bias_add(pooled @ small.constants[1], small.constants[2]) + shift, name="probabilities")
        return graph.as_graph_def()


def main(folder: Path) -> None:
    small = Small()
    tf.saved_model.save(small, str(folder / "savedmodel"), signatures={"serving_default": small.classify})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "savedmodel"), signature_keys=["serving_default"])
    (folder / "model.tflite").write_bytes(converter.convert())
    keras_model(small).save(folder / "model.keras")
    (folder / "frozen.pb").write_bytes(frozen_graph(small).SerializeToString())
    given = np.load(folder / "inputs.npz")
    answers = {}
    for batch in (1, 2, 4):
        outputs = small.classify(given["image"][:batch], given["shift"][:batch])
        answers.update({f"{batch}/{name}": value for name, value in outputs.items()})
    np.savez(folder / "answers.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
