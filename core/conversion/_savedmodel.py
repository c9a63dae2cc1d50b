"""Reading one signature of a SavedModel."""

from __future__ import annotations

from typing import Any

from core.errors import ConversionFailed
from core.models.model import Source


def load_signature(source: Source) -> tuple[Any, Any]:
    """The loaded SavedModel and the signature's concrete function; the function lives only as long as the model is held.

    Raises:
        ConversionFailed: It has no such signature.
    """
    import tensorflow as tf

    path = str(source.path)
    try:
        loaded = tf.saved_model.load(path)
    except ValueError:  # several graphs with different tags: a TensorFlow 1 export for training and serving
        loaded = tf.saved_model.load(path, tags=[tf.saved_model.SERVING])
    name = source.signature.name
    if name not in loaded.signatures:
        raise ConversionFailed(
            f"The SavedModel has no signature {name!r}.", hint=f"It has: {', '.join(loaded.signatures) or 'none'}."
        )
    return loaded, loaded.signatures[name]
