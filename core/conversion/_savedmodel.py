"""Reading one signature of a SavedModel."""

from __future__ import annotations

from typing import Any

from core.base.errors import ConversionFailed
from core.base.lean import import_tensorflow
from core.models.model import Source
from core.models.tf_loadable import loadable


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
