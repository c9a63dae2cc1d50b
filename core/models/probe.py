"""Asks TensorFlow or Keras, in a process of its own, what a model's tensors look like.

Only for what cannot be read from the file: shapes that follow from shape inference. The parent never imports either.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.base.errors import Unavailable
from core.models.axes import RawTensor

_TIMEOUT_SECONDS = 900


def probe_keras(path: Path) -> tuple[list[RawTensor], list[RawTensor]]:
    """Inputs and outputs of a Keras model, by loading it.

    Raises:
        Unavailable: Keras is not here, or could not load it; the message says why.
    """
    found = _ask("keras", path, [])
    return found["inputs"], found["outputs"]


def probe_graphdef(path: Path, tensors: Sequence[str]) -> list[RawTensor]:
    """Dtype and shape of tensors ("name" or "name:1") of a GraphDef, by importing it.

    Raises:
        Unavailable: TensorFlow is not here, or could not import it; the message says why.
    """
    return _ask("graphdef", path, tensors)["tensors"]


def _ask(kind: str, path: Path, names: Sequence[str]) -> dict[str, list[RawTensor]]:
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", __name__, kind, os.fspath(path), os.fspath(answer), *names]
        try:
            done = subprocess.run(
                command, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"Loading {path.name} took more than {_TIMEOUT_SECONDS // 60} minutes.") from error
        if done.returncode or not answer.is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            reason = textwrap.shorten(lines[-1] if lines else f"exit status {done.returncode}", 300, placeholder=" ...")
            raise Unavailable(f"It could not be loaded here: {reason}", detail=done.stderr)
        data = json.loads(answer.read_text(encoding="utf-8"))
    return {
        key: [RawTensor(name=n, dtype=d, shape=None if s is None else tuple(s)) for n, d, s in rows] for key, rows in data.items()
    }


def _keras_tensors(path: Path) -> dict[str, Any]:
    import keras

    # Keras goes by the suffix, and the file may have come under any.
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("model.keras" if zipfile.is_zipfile(path) else "model.h5")
        link.symlink_to(path.absolute())
        model = keras.models.load_model(link, compile=False)
    inputs, outputs = keras.tree.flatten(model.inputs), keras.tree.flatten(model.outputs)
    names = getattr(model, "output_names", None) or [model.layers[-1].name]  # a Sequential model has one output
    return {
        "inputs": [_row(tensor.name, tensor) for tensor in inputs],
        "outputs": [_row(name, tensor) for name, tensor in zip(_unique(names), outputs, strict=True)],
    }


def _graphdef_tensors(path: Path, names: Sequence[str]) -> dict[str, Any]:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        found = [(name, graph.get_tensor_by_name(name if ":" in name else f"{name}:0")) for name in names]
    return {
        "tensors": [
            [name, tensor.dtype.base_dtype.name, None if tensor.shape.rank is None else tensor.shape.as_list()]
            for name, tensor in found
        ]
    }


def _row(name: str, tensor: Any) -> list[Any]:
    return [name, str(tensor.dtype), list(tensor.shape)]


def _unique(names: Sequence[str]) -> list[str]:
    """A layer called twice gives two outputs of one name; the later ones get a number."""
    return [name if names.index(name) == index else f"{name}_{names[:index].count(name)}" for index, name in enumerate(names)]


def main(kind: str, path: str, answer: str, *names: str) -> None:
    found = _keras_tensors(Path(path)) if kind == "keras" else _graphdef_tensors(Path(path), names)
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
