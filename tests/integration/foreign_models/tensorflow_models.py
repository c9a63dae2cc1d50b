"""Writes TensorFlow models of kinds that are seldom met, each into a folder or file below the one that is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow")

import keras
import numpy as np
import tensorflow as tf

RNG = np.random.default_rng(0)
ROOT = Path(sys.argv[1])


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def save(name: str, function, **inputs: tuple[list[int | None] | None, tf.DType]) -> None:
    module = tf.Module()
    specs = [tf.TensorSpec(shape, dtype, name=given) for given, (shape, dtype) in inputs.items()]
    module.call = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(ROOT / name), signatures=module.call)


class Stateful(tf.Module):
    """Adds up what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = tf.Variable(tf.zeros([1, 3]))

    @tf.function(input_signature=[tf.TensorSpec([1, 3], tf.float32, name="x")])
    def step(self, x):
        self.sum.assign(self.sum * 0.5 + x)
        return {"sum": self.sum.read_value()}


stateful = Stateful()
tf.saved_model.save(stateful, str(ROOT / "stateful"), signatures=stateful.step)

steps = keras.Input((None, 4), name="steps")
keras.Model(steps, keras.layers.GRU(5, name="gru")(steps)).export(ROOT / "recurrent", verbose=False)

plain = keras.Input((4,), name="x")
keras.Model(plain, keras.layers.Lambda(lambda t: t * t, name="square")(plain)).save(ROOT / "lambda.keras")

save("found", lambda x: {"at": tf.where(x > 5), "top": tf.math.top_k(x, 2).values}, x=([3, 4], tf.int32))

save("unranked", lambda x: {"y": tf.nn.relu(x * 3.0 + 1.0)}, x=(None, tf.float32))

with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    v1 = tf.compat.v1
    examples = v1.placeholder(tf.string, [None], name="examples")
    table = tf.constant(weights(7, 5), name="table")
    parsed = v1.parse_example(examples, {"x": v1.FixedLenFeature([1], tf.float32)})["x"]
    x = tf.identity(parsed + tf.reduce_sum(table), name="x")
    scale = v1.get_variable("scale", initializer=np.float32(0.5), use_resource=True)
    unused = v1.get_variable("unused", initializer=weights(11, 3), use_resource=True)
    y = tf.identity(x * scale + 2.0, name="y")
    session.run(v1.global_variables_initializer())
    signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
    builder = v1.saved_model.Builder(str(ROOT / "fed_inside"))
    builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
    builder.save()
