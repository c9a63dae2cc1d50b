"""One tiny model in every format that a backend takes, with inputs and the answers of an independent reference."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from core.base.availability import installed_version
from core.models.graphdef import read_graphdef
from core.models.keras_model import read_keras
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.models.savedmodel import read_savedmodel
from core.models.tflite import read_tflite

Arrays = dict[str, NDArray[np.generic]]
BATCHES = (1, 2, 4)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with the inputs and the right outputs of each batch size in `BATCHES`."""

    source: Source
    inputs: dict[int, Arrays]
    outputs: dict[int, Arrays]


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Format], Case]:
    """The case of a format; each is made when it is first asked for."""
    made: dict[Format, Case] = {}
    folder = tmp_path_factory.mktemp("contract-models")

    def case(model_format: Format) -> Case:
        if model_format not in made:
            if model_format is Format.ONNX:
                made[model_format] = _onnx_case(folder)
            else:
                made.update(_tensorflow_cases(folder))
        return made[model_format]

    return case


def _onnx_case(folder: Path) -> Case:
    model = _onnx_model()
    path = folder / "model.onnx"
    onnx.save(model, path)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(max(BATCHES), 3, 8, 8)).astype(np.float32)
    shifts = rng.integers(-3, 3, size=(max(BATCHES), 5)).astype(np.int32)
    inputs: dict[int, Arrays] = {batch: {"image": images[:batch], "shift": shifts[:batch]} for batch in BATCHES}
    names = [value.name for value in model.graph.output]
    reference = ReferenceEvaluator(model)
    outputs = {batch: dict(zip(names, reference.run(None, dict(given)), strict=True)) for batch, given in inputs.items()}
    return Case(source=Source(path=path, format=Format.ONNX, signature=graph_signature(model)), inputs=inputs, outputs=outputs)


def _onnx_model() -> onnx.ModelProto:
    """Convolutions with a residual sum, an integer input, a constant subexpression, no-ops, a repeat, dead and unnamed nodes."""
    rng = np.random.default_rng(2)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "kernel_1"], ["conv_1"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv_1", "scale", "offset", "mean", "variance"], ["normal_1"], name="norm"),
        helper.make_node("Relu", ["normal_1"], ["relu_1"], name="relu"),
        helper.make_node("Conv", ["relu_1", "kernel_2"], ["conv_2"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["conv_2", "relu_1"], ["residual"], name="sum"),
        helper.make_node("Relu", ["residual"], ["relu_2"]),
        helper.make_node("Dropout", ["relu_2"], ["kept"], name="drop"),
        helper.make_node("GlobalAveragePool", ["kept"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["features"], name="flatten"),
        helper.make_node("Mul", ["factor", "factor"], ["factor_2"], name="constant"),
        helper.make_node("Mul", ["features", "factor_2"], ["scaled"], name="scale_features"),
        helper.make_node("Gemm", ["scaled", "weights", "bias"], ["logits"], name="classify"),
        helper.make_node("Cast", ["shift"], ["shift_float"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Add", ["logits", "shift_float"], ["shifted"], name="shift_logits"),
        helper.make_node("Softmax", ["shifted"], ["probabilities"], name="softmax"),
        helper.make_node("Sigmoid", ["shifted"], ["sigmoid_1"], name="sigmoid"),
        helper.make_node("Sigmoid", ["shifted"], ["sigmoid_2"], name="sigmoid_again"),
        helper.make_node("Mul", ["sigmoid_1", "sigmoid_2"], ["squared"], name="square"),
        helper.make_node("Tanh", ["features"], ["nobody_reads_this"], name="dead"),
        helper.make_node("Identity", ["features"], ["pooled"], name="pass"),
    ]
    weights = [
        weight("kernel_1", 4, 3, 3, 3),
        weight("kernel_2", 4, 4, 3, 3),
        *(
            numpy_helper.from_array(np.linspace(low, low + 1, 4, dtype=np.float32), name)
            for name, low in (("scale", 0.5), ("offset", -0.5), ("mean", -0.2), ("variance", 0.7))
        ),
        weight("factor", 4),
        weight("weights", 4, 5),
        weight("bias", 5),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("image", TensorProto.FLOAT, ["batch", 3, 8, 8]), value("shift", TensorProto.INT32, ["batch", 5])],
        [
            value("probabilities", TensorProto.FLOAT, ["batch", 5]),
            value("squared", TensorProto.FLOAT, ["batch", 5]),
            value("pooled", TensorProto.FLOAT, ["batch", 4]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def _tensorflow_cases(folder: Path) -> dict[Format, Case]:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(max(BATCHES), 8, 8, 3)).astype(np.float32)
    shift = rng.normal(size=(max(BATCHES), 5)).astype(np.float32)
    np.savez(folder / "inputs.npz", image=image, shift=shift)
    script = Path(__file__).with_name("tf_models.py")
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, env=quiet, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "answers.npz") as answers:
        outputs: dict[int, Arrays] = {
            batch: {name: answers[f"{batch}/{name}"] for name in ("probabilities", "pooled")} for batch in BATCHES
        }
    inputs: dict[int, Arrays] = {batch: {"image": image[:batch], "shift": shift[:batch]} for batch in BATCHES}
    ends = (["image", "shift"], ["probabilities", "pooled"])
    readings = {
        Format.SAVEDMODEL: (folder / "savedmodel", read_savedmodel(folder / "savedmodel")),
        Format.KERAS: (folder / "model.keras", read_keras(folder / "model.keras")),
        Format.GRAPHDEF: (folder / "frozen.pb", read_graphdef(folder / "frozen.pb", *ends)),
    }
    if installed_version("ai-edge-litert"):  # a GPU host's TensorFlow 2.14 has none beside it
        readings[Format.TFLITE] = (folder / "model.tflite", read_tflite(folder / "model.tflite"))
    return {
        kind: Case(source=Source(path=path, format=kind, signature=reading.signatures[0]), inputs=inputs, outputs=outputs)
        for kind, (path, reading) in readings.items()
    }


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Source], Path]:
    """Copies a model to a place of its own, so that a test may delete it."""

    def copy(source: Source) -> Path:
        target = tmp_path_factory.mktemp("source") / source.path.name
        if source.path.is_dir():
            shutil.copytree(source.path, target)
        else:
            shutil.copyfile(source.path, target)
        return target

    return copy
