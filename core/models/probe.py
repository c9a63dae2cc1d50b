"""Asks TensorFlow or Keras, in a process of its own, what a model's tensors look like.

Only for what cannot be read from the file: shapes that follow from shape inference. The parent never imports either, unless it
is in a box itself: that is a process for one model, and TensorFlow does not start in those that it starts.
"""

from __future__ import annotations

import os
import tempfile
import textwrap
import traceback
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from core.base.box.enter import is_closed
from core.base.box.limits import memory_bytes, passing_box
from core.base.children.call import Child, NoAnswer
from core.base.children.events import EndingKind
from core.base.errors import Unavailable
from core.base.lean import import_keras, import_tensorflow
from core.models.axes import RawTensor
from core.models.keras_ends import ends_of
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
    if is_closed():
        return _here(function, *args, **kwargs)
    try:
        with passing_box("probe", [path], memory_bytes=memory_bytes() // 2) as box:
            return Child(environment=_QUIET, box=box, seconds=_TIMEOUT_SECONDS, answer_bytes=_ANSWER_BYTES).call(
                function, *args, **kwargs
            )
    except NoAnswer as end:
        if end.ending.kind is EndingKind.TIME:
            raise Unavailable(f"Loading {path.name} took more than {_TIMEOUT_SECONDS // 60} minutes.") from end
        raise _not_loaded(end.last_line, end.log) from end


def _here(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    os.environ.update(_QUIET)
    try:
        return function(*args, **kwargs)
    except Exception as error:  # TensorFlow and Keras raise what they like
        last = traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
        raise _not_loaded(last, traceback.format_exc()) from error


def _not_loaded(reason: str, log: str) -> Unavailable:
    return Unavailable(f"It could not be loaded here: {textwrap.shorten(reason, 300, placeholder=' ...')}", detail=log)


def keras_tensors(path: Path) -> tuple[list[RawTensor], list[RawTensor]]:
    """What `probe_keras` tells, in this process."""
    keras = import_keras()

    # Keras goes by the suffix, and the file may have come under any.
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("model.keras" if zipfile.is_zipfile(path) else "model.h5")
        link.symlink_to(path.absolute())
        model = keras.models.load_model(link, compile=False)
    ends = ends_of(model)
    return [_raw(*end) for end in ends.inputs.items()], [_raw(*end) for end in ends.outputs.items()]


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
