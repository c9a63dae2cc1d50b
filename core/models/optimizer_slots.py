"""SavedModels that were saved with a Keras 2 optimizer.

TensorFlow revives the optimizer's state with the Keras that wrote it, and else fails to load the model: "'_UserObject' object
has no attribute 'add_slot'" (https://github.com/tensorflow/tensorflow/issues/52091). No signature needs that state.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

_FILE_NAME = "saved_model.pb"


def without_optimizer_slots(folder: Path) -> Path:
    """A SavedModel that TensorFlow loads: the folder itself, or one that links to its files beside a graph without slots.

    That one stays until the process ends, as a graph may read its assets whenever it runs.
    """
    content = _without_slots((folder / _FILE_NAME).read_bytes())
    if content is None:
        return folder
    home = Path(tempfile.mkdtemp(prefix="engineroom-savedmodel-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for path in folder.iterdir():
        if path.name != _FILE_NAME:
            (home / path.name).symlink_to(path.resolve())
    (home / _FILE_NAME).write_bytes(content)
    return home


def _without_slots(content: bytes) -> bytes | None:
    """The graph's file without slots; None when it has none."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString(content)
    nodes = [node for graph in saved.meta_graphs for node in graph.object_graph_def.nodes if node.slot_variables]
    for node in nodes:
        node.ClearField("slot_variables")
    return bytes(saved.SerializeToString()) if nodes else None
