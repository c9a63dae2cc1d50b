"""Asks TensorFlow or Keras, in a process of its own, what a model's tensors look like.

Only for what cannot be read from the file: shapes that follow from shape inference. The parent never imports either.
"""

from __future__ import annotations

import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from core.base.box.limits import memory_bytes, passing_box
from core.base.children.call import Child, NoAnswer
from core.base.children.events import EndingKind
from core.base.errors import Unavailable
from core.base.lean import import_keras, import_tensorflow
from core.models.axes import RawTensor
from core.models.tf_graph import tensor_name

_TIMEOUT_SECONDS = 900
_ANSWER_BYTES = 4_000_000
_QUIET = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}

P = ParamSpec("P")
T = TypeVar("T")


def probe_keras(path: Path) -> tuple[list[RawTensor], list[RawTensor]]:
    """Inputs and outputs of a Keras model, by loading it.

    Raises:
        Unavailable: Keras is not here, or could not load it; the message says why.
    """
    return _probe(path, keras_tensors, path)


def probe_graphdef(path: Path, tensors: Sequence[str]) -> list[RawTensor]:
    """Dtype and shape of tensors ("name" or "name:1") of a GraphDef, by importing it.

    Raises:
        Unavailable: TensorFlow is not here, or could not import it; the message says why.
    """
    return _probe(path, graphdef_tensors, path, tensors)


def _probe(path: Path, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        with passing_box("probe", [path], memory_bytes=memory_bytes() // 2) as box:
            return Child(environment=_QUIET, box=box, seconds=_TIMEOUT_SECONDS, answer_bytes=_ANSWER_BYTES).call(
                function, *args, **kwargs
            )
    except NoAnswer as end:
        if end.ending.kind is EndingKind.TIME:
            raise Unavailable(f"Loading {path.name} took more than {_TIMEOUT_SECONDS // 60} minutes.") from end
        reason = textwrap.shorten(end.last_line, 300, placeholder=" ...")
        raise Unavailable(f"It could not be loaded here: {reason}", detail=end.log) from end


def keras_tensors(path: Path) -> tuple[list[RawTensor], list[RawTensor]]:
    """What `probe_keras` tells, in this process."""
    keras = import_keras()

    # Keras goes by the suffix, and the file may have come under any.
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("model.keras" if zipfile.is_zipfile(path) else "model.h5")
        link.symlink_to(path.absolute())
        model = keras.models.load_model(link, compile=False)
    inputs, outputs = keras.tree.flatten(model.inputs), keras.tree.flatten(model.outputs)
    names = getattr(model, "output_names", None) or [model.layers[-1].name]  # a Sequential model has one output
    return (
        [_raw(tensor.name, tensor) for tensor in inputs],
        [_raw(name, tensor) for name, tensor in zip(_unique(names), outputs, strict=True)],
    )


def graphdef_tensors(path: Path, names: Sequence[str]) -> list[RawTensor]:
    """What `probe_graphdef` tells, in this process."""
    tf = import_tensorflow()

    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        found = [(name, graph.get_tensor_by_name(tensor_name(name))) for name in names]
    return [
        RawTensor(
            name=name,
            dtype=tensor.dtype.base_dtype.name,
            shape=None if tensor.shape.rank is None else tuple(tensor.shape.as_list()),
        )
        for name, tensor in found
    ]


def _raw(name: str, tensor: Any) -> RawTensor:
    return RawTensor(name=name, dtype=str(tensor.dtype), shape=tuple(tensor.shape))


def _unique(names: Sequence[str]) -> list[str]:
    """A layer called twice gives two outputs of one name; the later ones get a number."""
    return [name if names.index(name) == index else f"{name}_{names[:index].count(name)}" for index, name in enumerate(names)]
