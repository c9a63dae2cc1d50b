"""SavedModels as TensorFlow loads them: which of their graphs, and without what it trips over.

Of a Keras 2 optimizer TensorFlow revives the state with the Keras that wrote it, and else fails to load the model:
"'_UserObject' object has no attribute 'add_slot'" (https://github.com/tensorflow/tensorflow/issues/52091). No signature needs it.

TensorFlow leaves calls of functions that are marked for XLA as they are (Keras marks every grouped convolution), and no converter
translates a call. `keep_no_calls` takes the marks away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.models.savedmodel import FILE_NAME

_MARKS = ("_XlaMustCompile", "_XlaCompile", "_noinline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loadable:
    """What to give to TensorFlow's loaders.

    Attributes:
        folder: The SavedModel itself, or one that links to its files beside a changed graph.
        tags: Of the graph for serving: that tagged "serve" alone if there is one, like the reader of SavedModels.
        signatures: That graph's `SignatureDef`s by name.
    """

    folder: Path
    tags: tuple[str, ...]
    signatures: Mapping[str, Any]


@contextmanager
def loadable(folder: Path, *, to_convert: bool = False) -> Iterator[Loadable]:
    """Reads a SavedModel's graphs, with TensorFlow's own messages; load it inside.

    Stages end without Python's own exit, so nothing may be left to that. A changed model that reads an asset not while it is
    loaded but whenever it runs does not find it afterwards.

    Args:
        to_convert: Every call is to be inlined when it is frozen.
    """
    tags, signatures, changed = _read(folder, to_convert=to_convert)
    if changed is None:
        yield Loadable(folder=folder, tags=tags, signatures=signatures)
        return
    with tempfile.TemporaryDirectory(prefix="engineroom-savedmodel-") as home:
        for path in folder.iterdir():
            if path.name != FILE_NAME:
                (Path(home) / path.name).symlink_to(path.resolve())
        (Path(home) / FILE_NAME).write_bytes(changed)
        yield Loadable(folder=Path(home), tags=tags, signatures=signatures)


def keep_no_calls(graph: Any) -> bool:
    """Takes away what keeps calls in a `GraphDef` from being inlined, in place; whether there was any."""
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    marked = [*graph.library.function, *(node for body in bodies for node in body)]
    found = [(item, name) for item in marked for name in _MARKS if name in item.attr]
    for item, name in found:
        del item.attr[name]
    return bool(found)


def _read(folder: Path, *, to_convert: bool) -> tuple[tuple[str, ...], Mapping[str, Any], bytes | None]:
    """Tags and signatures of the graph for serving, and the file without what is in the way, where anything is."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((folder / FILE_NAME).read_bytes())
    slotted = [node for graph in saved.meta_graphs for node in graph.object_graph_def.nodes if node.slot_variables]
    for node in slotted:
        node.ClearField("slot_variables")
    serving = min(saved.meta_graphs, key=lambda graph: ("serve" not in graph.meta_info_def.tags, len(graph.meta_info_def.tags)))
    # Copies, as a part of a message keeps the whole of it in memory.
    signatures = {name: type(given).FromString(given.SerializeToString()) for name, given in serving.signature_def.items()}
    changed = bool(slotted)
    if to_convert:
        changed = keep_no_calls(serving.graph_def) or changed
    return tuple(serving.meta_info_def.tags), signatures, saved.SerializeToString() if changed else None
