"""The sample networks as ONNX, converted once and kept beside the samples."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample_models.make_models import CACHE, sample, without_notes

IMAGE_RANGES = {"resnet50": (-1.0, 1.0), "mobilenetv2": (-1.0, 1.0), "efficientnetb0": (0.0, 255.0), "digits": (0.0, 1.0)}
VOCABULARY = 4096
SEQUENCE = 128


def onnx_of(name: str) -> Path:
    """The ONNX file of a sample SavedModel, made now in a process of its own if it is not there yet."""
    home = CACHE / "onnx" / name / "model.onnx"
    if not home.exists():
        source = sample(name)
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as folder:
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            command = [sys.executable, "-m", "bench.networks", str(source), folder]
            subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parent.parent)
            (Path(folder) / "model.onnx").replace(home)
    return home


def inputs_file(name: str, count: int, seed: int, folder: Path) -> Path:
    """An .npz of inputs: pictures of every coarseness, or token ids; what the networks' statistics were taken from."""
    path = folder / f"{name}-{seed}-{count}.npz"
    if not path.exists():
        rng = np.random.default_rng(seed)
        if name == "bert":
            ids = rng.integers(0, VOCABULARY, (count, SEQUENCE), dtype=np.int32)
            np.savez(path, input_ids=ids, attention_mask=np.ones_like(ids))
        else:
            np.savez(path, image=pictures(rng, count, *IMAGE_RANGES[name]))
    return path


def pictures(rng: np.random.Generator, count: int, low: float, high: float, size: int = 224) -> NDArray[np.float32]:
    """Noise of every coarseness from single pixels to a few large patches, (count, size, size, 3)."""
    made = []
    for index in range(count):
        patch = 2 ** (index % 6)
        cells = -(-size // patch)
        made.append(rng.uniform(low, high, (cells, cells, 3)).repeat(patch, axis=0).repeat(patch, axis=1)[:size, :size])
    return np.stack(made).astype(np.float32)


def _convert(source: Path, folder: Path) -> None:
    from core.base.progress import silent
    from core.conversion.onnx_from_savedmodel import CONVERSION
    from core.models.model import Format, Source
    from core.models.savedmodel import read_savedmodel

    signature = read_savedmodel(source).signatures[0]
    CONVERSION.convert(Source(path=source, format=Format.SAVEDMODEL, signature=signature), folder, silent)


if __name__ == "__main__":
    with without_notes():
        _convert(Path(sys.argv[1]), Path(sys.argv[2]))
