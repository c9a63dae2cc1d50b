"""Keras files that claim or unpack to far more than they hold are refused before anything is allocated."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from core.base.errors import BrokenModel
from core.models import keras_model
from core.models.keras_model import read_keras

CONFIG = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}


def test_datasets_without_data(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "hollow.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(CONFIG)
        file.create_dataset("model_weights/dense/kernel", shape=(2_100_000_000,), dtype="float32", chunks=(1_000_000,))
    assert path.stat().st_size < 50_000
    with pytest.raises(BrokenModel, match=r"hollow\.h5 tells of 8,400 MB of weights and holds 0\.0"):
        read_keras(path)


def archive(path: Path, config: bytes, weights: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("config.json", config)
        packed.writestr("metadata.json", b"{}")
        packed.writestr("model.weights.h5", weights)
    return path


def test_weights_packed_out_of_proportion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_model, "most_unpacked", lambda path: 10_000_000)
    path = archive(tmp_path / "bomb.keras", json.dumps(CONFIG).encode(), bytes(30_000_000))
    with pytest.raises(BrokenModel, match=r"bomb\.keras unpacks to more than 10 MB"):
        read_keras(path)


def test_a_config_of_any_size_or_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_model, "MOST_TEXT_BYTES", 1_000_000)
    path = archive(tmp_path / "long.keras", b" " * 2_000_000, b"")
    with pytest.raises(BrokenModel, match=r"config\.json unpacks to more than 1 MB"):
        read_keras(path)
    path = archive(tmp_path / "deep.keras", b"[" * 500_000, b"")
    with pytest.raises(BrokenModel, match=r"deep\.keras is damaged"):
        read_keras(path)
