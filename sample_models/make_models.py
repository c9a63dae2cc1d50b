"""Makes the sample models: small ones beside this file, big ones under `cache/`.

    python sample_models/make_models.py                     every sample
    python sample_models/make_models.py resnet50 bert       some of them
    python sample_models/make_models.py resnet50 --out DIR  elsewhere

Tests and the command line ask `sample(name)`, which makes what is not there yet.

Nothing is downloaded, so the big models have seeded random weights. Plain random weights make poor samples: their
outputs are all but constant, and any converter's output looks right. `spread` below makes them worth comparing.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.base.lean import import_keras, import_tensorflow

HERE = Path(__file__).resolve().parent
CACHE = HERE / "cache"
SEED = 7
# After a block's name, the last BatchNorm of its residual branch: in ResNet, MobileNet and EfficientNet.
BRANCH_ENDS = ("_3_bn", "_project_BN", "_project_bn")
BRANCH_SCALE = 0.1
STDERR = 2  # the caller's stdout may be read by a program
# What TensorFlow tells while it is imported, before anybody can set its level: information, and that it comes too early.
NOTES = r"^(I[0-9]{4} |WARNING: All log messages before absl::InitializeLog|To enable the following instructions:)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample.

    Attributes:
        make: Writes it to a path.
        entry: Its file or folder's name.
        committed: Whether it is kept in the repository, beside this file.
    """

    make: Callable[[Path], None]
    entry: str
    committed: bool = False

    @property
    def home(self) -> Path:
        return (HERE if self.committed else CACHE) / self.entry


def sample(name: str) -> Path:
    """The path of a sample, made now if it is not there yet.

    It is made in a process of its own, so the caller imports nothing heavy; of two callers one makes it and the
    other waits.

    Raises:
        KeyError: No sample has that name.
        subprocess.CalledProcessError: It could not be made; the process has said why.
    """
    home = SAMPLES[name].home
    if not home.exists():
        with _lock(name):
            if not home.exists():
                subprocess.run([sys.executable, __file__, name], check=True, stdout=STDERR)
    return home


@contextmanager
def _lock(name: str) -> Iterator[None]:
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(name: str, home: Path) -> None:
    """Makes a sample anew at `home`; what was there before goes once the new one is whole."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=home.parent) as folder:
        SAMPLES[name].make(Path(folder) / home.name)
        if home.is_dir():
            shutil.rmtree(home)
        os.replace(Path(folder) / home.name, home)


@contextmanager
def without_notes() -> Iterator[None]:
    """Keeps `NOTES` from standard error, those of native code too; all else passes, even when this process crashes."""
    kept = os.dup(STDERR)
    read_end, write_end = os.pipe()
    with subprocess.Popen(["grep", "-avE", "--line-buffered", NOTES], stdin=read_end, stdout=kept):
        os.close(read_end)
        os.dup2(write_end, STDERR)
        os.close(write_end)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, STDERR)
            os.close(kept)


# --- saving -----------------------------------------------------------------------------------------------------------


def save(path: Path, variables: list[Any], **signatures: Any) -> None:
    """Saves `tf.function`s as a SavedModel's signatures.

    Keras's own `export` stores every variable twice; here only the TensorFlow variables are tracked.
    """
    tf = import_tensorflow()

    module = tf.Module()
    module.weights = variables
    for name, function in signatures.items():
        setattr(module, name, function)
    tf.saved_model.save(module, str(path), signatures=signatures)


def save_keras(path: Path, model: Any, input_name: str, output_name: str) -> None:
    """Saves a Keras model of one input and one output, under these names and with a dynamic batch."""
    tf = import_tensorflow()

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=input_name)])
    def serve(image: Any) -> dict[str, Any]:
        return {output_name: model(image, training=False)}

    save(path, [variable.value for variable in model.variables], serving_default=serve)


# --- image networks ---------------------------------------------------------------------------------------------------


def spread(model: Any, low: float, high: float) -> None:
    """Gives a classifier with random weights outputs that differ from image to image.

    BatchNorm's scales and offsets are drawn at random and its statistics taken from a batch, so that every layer
    works in a sensible range; then the last layer is centred and scaled until the logits spread by about 2. The scale at
    the end of each residual branch is small, as in trained networks: with full scales every rounding grows from block to
    block until nothing of the outputs is left, and parity in INT8 would tell nothing.

    Args:
        model: A Keras classifier of images that ends in a dense layer with softmax.
        low: The darkest value its input takes.
        high: The brightest.
    """
    keras = import_keras()

    rng = np.random.default_rng(SEED)
    images = _pictures(rng, 12, model.input_shape[1:], low, high)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    added = {layer.name.removesuffix("_add") for layer in model.layers if isinstance(layer, keras.layers.Add)}
    ends = {block + end for block in added for end in BRANCH_ENDS}
    for norm in norms:
        norm.gamma.assign(rng.uniform(0.6, 1.4, norm.gamma.shape) * (BRANCH_SCALE if norm.name in ends else 1.0))
        norm.beta.assign(rng.normal(0, 0.2, norm.beta.shape))
        norm.momentum = 0.0  # so that one pass leaves that batch's statistics
    model(images, training=True)

    head = model.layers[-1]
    features = keras.Model(model.inputs[0], head.input)(images, training=False)
    logits = np.asarray(features) @ np.asarray(head.kernel)
    scale = 2.0 / logits.std(axis=0).mean()
    head.kernel.assign(head.kernel * scale)
    head.bias.assign(-logits.mean(axis=0) * scale)


def _pictures(rng: np.random.Generator, count: int, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Noise of every coarseness from single pixels to a few large patches, in [low, high]; (count, *shape) float32."""
    height, width, channels = shape
    pictures = []
    for index in range(count):
        patch = 2 ** (index % 6)
        coarse = rng.uniform(low, high, (-(-height // patch), -(-width // patch), channels))
        pictures.append(coarse.repeat(patch, axis=0).repeat(patch, axis=1)[:height, :width])
    return np.stack(pictures).astype(np.float32)


def _application(path: Path, name: str, low: float, high: float) -> None:
    keras = import_keras()

    keras.utils.set_random_seed(SEED)
    model = getattr(keras.applications, name)(weights=None)
    spread(model, low, high)
    save_keras(path, model, "image", "probabilities")


def make_resnet50(path: Path) -> None:
    _application(path, "ResNet50", -1.0, 1.0)


def make_mobilenetv2(path: Path) -> None:
    _application(path, "MobileNetV2", -1.0, 1.0)


def make_efficientnetb0(path: Path) -> None:
    _application(path, "EfficientNetB0", 0.0, 255.0)


# --- text encoder -----------------------------------------------------------------------------------------------------


def make_bert(path: Path) -> None:
    """A BERT-like encoder: token ids and an attention mask, both (batch, sequence) and dynamic; exact GELU."""
    keras = import_keras()
    tf = import_tensorflow()

    vocabulary, longest, width, heads, depth = 4096, 512, 256, 4, 6
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    tokens = layers.Embedding(vocabulary, width, name="tokens")
    positions = layers.Embedding(longest, width, name="positions")
    norm = layers.LayerNormalization(epsilon=1e-12)
    blocks = [
        (
            layers.MultiHeadAttention(heads, width // heads),
            layers.LayerNormalization(epsilon=1e-12),
            layers.Dense(4 * width, activation="gelu"),
            layers.Dense(width),
            layers.LayerNormalization(epsilon=1e-12),
        )
        for _ in range(depth)
    ]
    pooler = layers.Dense(width, activation="tanh")

    ids_spec = tf.TensorSpec((None, None), tf.int32, name="input_ids")
    mask_spec = tf.TensorSpec((None, None), tf.int32, name="attention_mask")

    @tf.function(input_signature=[ids_spec, mask_spec])
    def encode(input_ids: Any, attention_mask: Any) -> dict[str, Any]:
        hidden = norm(tokens(input_ids) + positions(tf.range(tf.shape(input_ids)[1])))
        visible = attention_mask[:, tf.newaxis, :] > 0
        for attention, after_attention, widen, narrow, after_widen in blocks:
            hidden = after_attention(hidden + attention(hidden, hidden, attention_mask=visible))
            hidden = after_widen(hidden + narrow(widen(hidden)))
        return {"last_hidden_state": hidden, "pooled_output": pooler(hidden[:, 0])}

    encode.get_concrete_function()  # builds the layers
    rng = np.random.default_rng(SEED)
    parts = [tokens, positions, norm, pooler, *(part for block in blocks for part in block)]
    variables = [variable for part in parts for variable in part.variables if "seed" not in variable.path]
    for variable in variables:
        # Biases and scales as a trained encoder has them, not all zero or one.
        if variable.name in ("bias", "beta", "gamma"):
            variable.assign(variable + rng.normal(0, 0.1, variable.shape))
    save(path, [variable.value for variable in variables], serving_default=encode)


# --- small models, committed ------------------------------------------------------------------------------------------


def make_two_signatures(path: Path) -> None:
    """An autoencoder with `encode` and `decode`, which share nothing but the file."""
    tf = import_tensorflow()

    rng = np.random.default_rng(SEED)

    def weight(*shape: int) -> Any:
        return tf.Variable(rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32))

    down, narrow, widen, up = weight(16, 12), weight(12, 4), weight(4, 12), weight(12, 16)

    @tf.function(input_signature=[tf.TensorSpec((None, 16), tf.float32, name="signal")])
    def encode(signal: Any) -> dict[str, Any]:
        return {"code": tf.tanh(tf.nn.relu(signal @ down) @ narrow)}

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="code")])
    def decode(code: Any) -> dict[str, Any]:
        signal = tf.nn.relu(code @ widen) @ up
        return {"signal": signal, "energy": tf.reduce_sum(signal**2, axis=1)}

    save(path, [down, narrow, widen, up], encode=encode, decode=decode)


def _digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's 8 by 8 digits in [0, 1] as (n, 8, 8, 1): training images and labels, then test ones (a fifth)."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    train, test, train_labels, test_labels = train_test_split(
        images, labels.astype(np.int64), test_size=0.2, stratify=labels, random_state=SEED
    )
    return train, train_labels, test, test_labels


def make_digits(path: Path) -> None:
    """A small CNN trained on the digits."""
    keras = import_keras()

    keras.utils.set_random_seed(SEED)
    train, labels, test, test_labels = _digits()
    layers = keras.layers
    stack: list[Any] = [layers.Input((8, 8, 1), name="image")]
    for filters, strides in ((32, 1), (32, 2), (64, 1), (64, 2)):
        stack += [layers.Conv2D(filters, 3, strides, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    model = keras.Sequential([*stack, layers.Flatten(), layers.Dropout(0.4), layers.Dense(10, activation="softmax")])
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, decay_steps=40 * -(-len(train) // 32))
    model.compile(keras.optimizers.Adam(schedule), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, labels, batch_size=32, epochs=40, verbose=0)
    accuracy = model.evaluate(test, test_labels, verbose=0)[1]
    print(f"digits: {accuracy:.1%} of {len(test)} test images right")
    save_keras(path, model, "image", "probabilities")


def make_digits_test(path: Path) -> None:
    """The digits that the CNN was not trained on: `image` and `labels`."""
    _, _, test, labels = _digits()
    np.savez_compressed(path, image=test, labels=labels)


def make_digits_onnx(path: Path) -> None:
    """The CNN as ONNX, converted by `core` from the SavedModel."""
    from core.base.progress import silent
    from core.conversion.onnx_from_savedmodel import CONVERSION
    from core.models.model import Format, Source
    from core.models.savedmodel import read_savedmodel

    model = sample("digits")
    source = Source(path=model, format=Format.SAVEDMODEL, signature=read_savedmodel(model).signatures[0])
    with tempfile.TemporaryDirectory() as folder:
        converted = CONVERSION.convert(source, Path(folder), silent)
        shutil.copyfile(Path(folder) / converted.entry, path)


SAMPLES = {
    "digits": Sample(make=make_digits, entry="digits", committed=True),
    "digits_onnx": Sample(make=make_digits_onnx, entry="digits.onnx", committed=True),
    "digits_test": Sample(make=make_digits_test, entry="digits_test.npz", committed=True),
    "two_signatures": Sample(make=make_two_signatures, entry="two_signatures", committed=True),
    "bert": Sample(make=make_bert, entry="bert"),
    "mobilenetv2": Sample(make=make_mobilenetv2, entry="mobilenetv2"),
    "efficientnetb0": Sample(make=make_efficientnetb0, entry="efficientnetb0"),
    "resnet50": Sample(make=make_resnet50, entry="resnet50"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the sample models.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones (all): {', '.join(SAMPLES)}")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to, instead of their places below this folder")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in SAMPLES]:
        parser.error(f"no sample is called {', '.join(unknown)}; there are {', '.join(SAMPLES)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in arguments.names or SAMPLES:
        home = arguments.out / SAMPLES[name].entry if arguments.out else SAMPLES[name].home
        with without_notes():
            make(name, home)
        print(f"{name}: {home}")


if __name__ == "__main__":
    main()
