"""SavedModels that were saved with a Keras 2 optimizer.

TensorFlow revives the optimizer's state with the Keras that wrote it, and else fails to load the model: "'_UserObject' object
has no attribute 'add_slot'" (https://github.com/tensorflow/tensorflow/issues/52091). No signature needs that state.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def without_optimizer_slots(folder: Path) -> Iterator[Path]:
    """A SavedModel that TensorFlow loads: the folder itself, or one that links to its files beside a graph without slots."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    nodes = [node for graph in saved.meta_graphs for node in graph.object_graph_def.nodes if node.slot_variables]
    if not nodes:
        yield folder
        return
    for node in nodes:
        node.ClearField("slot_variables")
    with tempfile.TemporaryDirectory(prefix="engineroom-savedmodel-") as home:
        for path in folder.iterdir():
            if path.name != "saved_model.pb":
                (Path(home) / path.name).symlink_to(path.resolve())
        (Path(home) / "saved_model.pb").write_bytes(saved.SerializeToString())
        yield Path(home)
