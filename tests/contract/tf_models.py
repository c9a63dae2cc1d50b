"""Run as a program: writes a SavedModel, the same as .tflite, and what it answers to the inputs beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


class Small(tf.Module):
    """A convolution, a residual sum and a classifier; two inputs, two outputs, a dynamic batch."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.kernel = tf.Variable(rng.normal(size=(3, 3, 3, 4)).astype(np.float32))
        self.weights = tf.Variable(rng.normal(size=(4, 5)).astype(np.float32))
        self.bias = tf.Variable(rng.normal(size=5).astype(np.float32))

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


def main(folder: Path) -> None:
    small = Small()
    tf.saved_model.save(small, str(folder / "savedmodel"), signatures={"serving_default": small.classify})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "savedmodel"), signature_keys=["serving_default"])
    (folder / "model.tflite").write_bytes(converter.convert())
    given = np.load(folder / "inputs.npz")
    answers = {
        f"{batch}/{name}": value
        for batch in (1, 2, 4)
        for name, value in small.classify(given["image"][:batch], given["shift"][:batch]).items()
    }
    np.savez(folder / "answers.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
