"""Reading one signature of a SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.errors import ConversionFailed
from core.models.model import Source
from core.models.optimizer_slots import without_optimizer_slots


def load_signature(source: Source) -> tuple[Any, Any]:
    """The loaded SavedModel and the signature's concrete function; the function lives only as long as the model is held.

    Raises:
        ConversionFailed: It has no such signature.
    """
    import tensorflow as tf

    folder = without_optimizer_slots(source.path)
    loaded = tf.saved_model.load(str(folder), tags=tags(folder))
    name = source.signature.name
    if name not in loaded.signatures:
        raise ConversionFailed(
            f"The SavedModel has no signature {name!r}.", hint=f"It has: {', '.join(loaded.signatures) or 'none'}."
        )
    return loaded, loaded.signatures[name]


def tags(folder: Path) -> list[str]:
    """Tags of the graph for serving: that tagged "serve" alone if there is one, like the reader of SavedModels."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graphs = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs
    found = [list(graph.meta_info_def.tags) for graph in graphs]
    return min(found, key=lambda names: ("serve" not in names, len(names)))
