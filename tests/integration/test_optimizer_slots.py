"""SavedModels with an optimizer's state that nothing here can revive, as Keras 2 wrote them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.backends.base import BuildConfig
from core.backends.tensorflow import BACKEND
from core.base.progress import silent
from core.conversion.onnx_from_savedmodel import CONVERSION as TO_ONNX
from core.conversion.tflite_from_savedmodel import CONVERSION as TO_TFLITE
from core.models.model import Format, Source
from core.models.savedmodel import read_savedmodel
from core.models.tf_loadable import loadable

KERNEL = np.arange(8, dtype=np.float32).reshape(4, 2)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel, self.momentum, self.optimizer = tf.Variable(KERNEL), tf.Variable(KERNEL * 0), tf.Module()

        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
        def predict(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x @ self.kernel}

    folder = tmp_path_factory.mktemp("optimizer") / "model"
    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.predict)
    proto = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    nodes = proto.meta_graphs[0].object_graph_def.nodes
    ids = {child.local_name: child.node_id for child in nodes[0].children}
    slot = nodes[ids["optimizer"]].slot_variables.add(slot_name="momentum")
    slot.original_variable_node_id, slot.slot_variable_node_id = ids["kernel"], ids["momentum"]
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString())
    return folder


@pytest.fixture(scope="module")
def source(saved: Path) -> Source:
    return Source(path=saved, format=Format.SAVEDMODEL, signature=read_savedmodel(saved).signatures[0])


def test_tensorflow_itself_cannot_load_it(saved: Path) -> None:
    import tensorflow as tf

    with pytest.raises(AttributeError, match="add_slot"):
        tf.saved_model.load(str(saved))


def test_it_runs_and_its_file_stays_as_it_was(source: Source, tmp_path: Path) -> None:
    before = (source.path / "saved_model.pb").read_bytes()
    engine = BACKEND.build(source, BuildConfig(variant="signature"), tmp_path, silent)
    with BACKEND.open(engine) as session:
        np.testing.assert_array_equal(session.run({"x": np.eye(4, dtype=np.float32)})["y"], KERNEL)
    assert (source.path / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize("convert", [TO_ONNX.convert, TO_TFLITE.convert])
def test_it_converts(source: Source, tmp_path: Path, convert: Callable[..., object]) -> None:
    assert convert(source, tmp_path, silent)


def test_one_without_an_optimizer_is_loaded_from_where_it_lies(saved: Path) -> None:
    with loadable(saved) as clean, loadable(clean.folder) as same:
        assert clean.folder != saved
        assert same.folder == clean.folder
    assert not clean.folder.exists()
