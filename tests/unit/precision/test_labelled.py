"""True accuracy on labelled samples: an .npz with labels, or a folder of images for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from core.base.errors import InvalidRequest
from core.models.onnx_graph import graph_signature
from core.precision.calibration.labelled import find_labelled, labelled_accuracy, open_labelled
from core.precision.runner import Runner
from core.precision.settings import PrecisionSettings

IMAGES = np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype(np.float32)


def test_an_npz_with_labels(residual: onnx.ModelProto, tmp_path: Path) -> None:
    labels = Runner(residual, ["logits"]).run({"image": IMAGES})[0].argmax(axis=1)
    labels[:5] = (labels[:5] + 1) % 5
    np.savez(tmp_path / "data.npz", image=IMAGES, labels=labels)
    labelled = open_labelled(tmp_path / "data.npz", graph_signature(residual))
    found = labelled_accuracy(residual, labelled)
    assert (found.samples, found.top1) == (20, 0.75)
    few = open_labelled(tmp_path / "data.npz", graph_signature(residual), PrecisionSettings(samples=5))
    np.testing.assert_array_equal(few.labels, labels[[0, 5, 10, 14, 19]])


def test_folders_are_classes(residual: onnx.ModelProto, tmp_path: Path) -> None:
    for name, value in (("dog/1.png", 10), ("cat/1.png", 60), ("cat/2.png", 80)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(tmp_path / name)
    labelled = open_labelled(tmp_path, graph_signature(residual))
    assert labelled.classes == ("cat", "dog")
    np.testing.assert_array_equal(labelled.labels, [0, 0, 1])
    assert labelled_accuracy(residual, labelled).samples == 3


def test_folders_named_by_numbers_are_those_classes(residual: onnx.ModelProto, tmp_path: Path) -> None:
    for name in ("2/1.png", "10/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)
    np.testing.assert_array_equal(open_labelled(tmp_path, graph_signature(residual)).labels, [10, 2])


def test_data_without_labels_are_refused(residual: onnx.ModelProto, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", image=IMAGES)
    with pytest.raises(InvalidRequest, match=r"data\.npz holds no labels"):
        open_labelled(tmp_path / "data.npz", graph_signature(residual))
    np.savez(tmp_path / "short.npz", image=IMAGES, labels=np.zeros(3, np.int64))
    with pytest.raises(InvalidRequest, match="has 20 samples and 3 labels"):
        open_labelled(tmp_path / "short.npz", graph_signature(residual))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "flat.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "flat.png").rename(tmp_path / "images" / "flat.png")
    with pytest.raises(InvalidRequest, match="images holds no labels"):
        open_labelled(tmp_path / "images", graph_signature(residual))
    assert find_labelled(tmp_path / "images", graph_signature(residual)) is None
    assert find_labelled(tmp_path / "data.npz", graph_signature(residual)) is None
