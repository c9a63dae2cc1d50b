"""SavedModels as TensorFlow loads them: which of their graphs, and without what it trips over.

Of a Keras 2 optimizer TensorFlow revives the state with the Keras that wrote it, and else fails to load the model:
"'_UserObject' object has no attribute 'add_slot'" (https://github.com/tensorflow/tensorflow/issues/52091). No signature needs it.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.models.savedmodel import FILE_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Loadable:
    """What to give to TensorFlow's loaders.

    Attributes:
        folder: The SavedModel itself, or one that links to its files beside a graph without an optimizer's slots. That one
            stays until the process ends, as a graph may read its assets whenever it runs.
        tags: Of the graph for serving: that tagged "serve" alone if there is one, like the reader of SavedModels.
        signatures: That graph's `SignatureDef`s by name.
    """

    folder: Path
    tags: tuple[str, ...]
    signatures: Mapping[str, Any]


def loadable(folder: Path) -> Loadable:
    """Reads a SavedModel's graphs, with TensorFlow's own messages."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((folder / FILE_NAME).read_bytes())
    slotted = [node for graph in saved.meta_graphs for node in graph.object_graph_def.nodes if node.slot_variables]
    for node in slotted:
        node.ClearField("slot_variables")
    found = min(saved.meta_graphs, key=lambda graph: ("serve" not in graph.meta_info_def.tags, len(graph.meta_info_def.tags)))
    # Copies, as a part of a message keeps the whole of it in memory.
    signatures = {name: type(given).FromString(given.SerializeToString()) for name, given in found.signature_def.items()}
    return Loadable(
        folder=_beside_its_files(saved.SerializeToString(), folder) if slotted else folder,
        tags=tuple(found.meta_info_def.tags),
        signatures=signatures,
    )


def _beside_its_files(graphs: bytes, folder: Path) -> Path:
    home = Path(tempfile.mkdtemp(prefix="engineroom-savedmodel-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for path in folder.iterdir():
        if path.name != FILE_NAME:
            (home / path.name).symlink_to(path.resolve())
    (home / FILE_NAME).write_bytes(graphs)
    return home
