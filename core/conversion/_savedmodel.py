"""Reading one signature of a SavedModel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.base.errors import ConversionFailed
from core.base.lean import import_tensorflow
from core.models.model import Source
from core.models.tf_loadable import loadable
from core.models.tf_state import STATE_HINT, kept_values


def load_signature(source: Source) -> tuple[Any, Any]:
    """The loaded SavedModel and the signature's concrete function; the function lives only as long as the model is held.

    Raises:
        ConversionFailed: It has no such signature.
    """
    tf = import_tensorflow()

    with loadable(source.path, to_convert=True) as found:
        loaded = tf.saved_model.load(str(found.folder), tags=list(found.tags))
    name = source.signature.name
    if name not in loaded.signatures:
        raise ConversionFailed(
            f"The SavedModel has no signature {name!r}.", hint=f"It has: {', '.join(loaded.signatures) or 'none'}."
        )
    return loaded, loaded.signatures[name]


@contextmanager
def frozen(source: Source, what: str) -> Iterator[Path]:
    """A SavedModel of the signature alone, with its variables as constants: for who reads no variables of TensorFlow 1.

    Raises:
        ConversionFailed: It has no such signature, or writes variables.
    """
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    held, function = load_signature(source)
    with state_told(what, function, "TensorFlow Lite"):
        constants = convert_variables_to_constants_v2(function)
    keys, names = [str(key) for key in function._arg_keywords], sorted(function.structured_outputs)

    def serve(*tensors: Any) -> dict[str, Any]:
        return dict(zip(names, constants(*tensors), strict=True))

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, key) for tensor, key in zip(constants.inputs, keys, strict=True)]
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=specs, autograph=False)
    with tempfile.TemporaryDirectory(prefix="engineroom-frozen-") as home:
        tf.saved_model.save(module, home, signatures={source.signature.name: module.serve})
        yield Path(home)
    del held


@contextmanager
def state_told(what: str, function: Any, taker: str = "an ONNX graph") -> Iterator[None]:
    """Freezing a variable that is written fails with words about some node's inputs."""
    try:
        yield
    except ValueError as error:
        if not (kept := kept_values(function.graph.as_graph_def())):
            raise
        words = f"{what[0].upper()}{what[1:]} {kept}; {taker} has nothing to keep them in."
        raise ConversionFailed(words, hint=STATE_HINT, detail=str(error)) from error
