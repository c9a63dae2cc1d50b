"""What `bench.precision` measures on: each network's graph, its data and, where these tell the truth, its score.

The samples, made here, are judged against TensorFlow's own outputs: digits, which is trained, by its accuracy besides, the
others, whose weights are random, by parity alone. Trained networks of others (`bench.trained`) are judged by their own measure,
on data whose truth is known, and against ONNX Runtime without its optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import networks
from bench.trained.scored import LABELS, SCORED
from core.base.lean import import_tensorflow
from sample_models.make_models import sample

Arrays = dict[str, NDArray[Any]]
NETWORKS = ("digits", *SCORED, "mobilenetv2", "efficientnetb0", "bert", "resnet50")
CALIBRATION_SAMPLES, COMPARED_SAMPLES, SCORED_SAMPLES = 64, 12, 200
_CALIBRATED, _COMPARED = 1, 2  # seeds of trained networks' data; see `Scored.made`


def graph_of(network: str) -> Path:
    """Its ONNX file, made or fetched now if it is not there yet."""
    return SCORED[network].graph if network in SCORED else networks.onnx_of(network)


def calibration_of(network: str, folder: Path) -> Path:
    """An .npz to calibrate on, of other samples than are compared where these are made."""
    if network in SCORED:
        return _made(network, _CALIBRATED, CALIBRATION_SAMPLES, folder)
    if network != "digits":
        return networks.inputs_file(network, CALIBRATION_SAMPLES, 0, folder)
    path = folder / "digits-calibration.npz"
    np.savez(path, image=np.load(sample("digits_test"))["image"][:CALIBRATION_SAMPLES])
    return path


def compared_of(network: str, folder: Path) -> Path:
    """An .npz of samples to compare on, with their `labels` where the truth is known."""
    if network in SCORED:
        return _made(network, _COMPARED, SCORED_SAMPLES, folder)
    return sample("digits_test") if network == "digits" else networks.inputs_file(network, COMPARED_SAMPLES, 100, folder)


def _made(network: str, seed: int, count: int, folder: Path) -> Path:
    path = folder / f"{network}-{seed}-{count}.npz"
    np.savez(path, **dict(SCORED[network].made(seed, count)))  # type: ignore[arg-type]
    return path


def reference_of(network: str) -> Callable[[Arrays], Arrays]:
    """What runs one sample as its own framework does."""
    if network in SCORED:
        return _as_it_stands(SCORED[network].graph)
    tf = import_tensorflow()
    function = tf.saved_model.load(str(sample(network))).signatures["serving_default"]
    return lambda inputs: {
        name: value.numpy() for name, value in function(**{name: tf.constant(array) for name, array in inputs.items()}).items()
    }


def _as_it_stands(graph: Path) -> Callable[[Arrays], Arrays]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def measure_of(network: str) -> str:
    """What its score is, as a table's head; empty where nothing tells the truth."""
    return SCORED[network].measure if network in SCORED else "top-1" if network == "digits" else ""


def score_of(network: str, outputs: Mapping[str, NDArray[Any]], compared: Path) -> float | None:
    """The share that is right; None where nothing tells the truth."""
    if not measure_of(network):
        return None
    labels = np.load(compared)[LABELS]
    if network in SCORED:
        return SCORED[network].score(outputs, labels)
    return float(np.mean(outputs["probabilities"].argmax(axis=1) == labels))
