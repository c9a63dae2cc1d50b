"""What is told of real models of each format."""

from pathlib import Path

import onnx
import pytest

from core.base.errors import InvalidRequest, UnsupportedModel
from core.base.tensors import TensorSpec
from core.models.model import Format, Model
from tests.integration.models.inspecting import inspect_model

pytestmark = pytest.mark.usefixtures("forked")

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
# From the papers and torchvision or Caffe's model zoo.
LIGHT_PARAMETERS = {"light_vgg19": 143_667_240, "light_squeezenet": 1_235_496, "light_bvlc_alexnet": 60_965_224}


def rows(specs: tuple[TensorSpec, ...]) -> list[tuple[str, str, tuple[int | str, ...] | None]]:
    return [(spec.name, spec.dtype, spec.shape) for spec in specs]


def test_tf2_savedmodel_with_two_signatures(models: Path) -> None:
    model = inspect_model(models / "two_signatures")
    assert model.format is Format.SAVEDMODEL
    assert model.producer is not None
    assert model.producer.startswith("TensorFlow 2.")
    assert [signature.name for signature in model.signatures] == ["serving_default", "embed"]
    serve, embed = model.signatures
    assert rows(serve.inputs) == [
        ("features", "float32", ("batch", "features_1", 4)),
        ("mask", "int32", ("batch", "mask_1")),
    ]
    assert rows(serve.outputs) == [("hidden", "float32", ("batch", "hidden_1", 4)), ("pooled", "float32", ("batch", 4))]
    assert rows(embed.inputs) == [("ids", "int64", ("batch", "dim_1")), ("segments", "int64", ("batch", "dim_1"))]
    # The kernel alone: inside a loop inside a branch; neither the other signature's table nor what nobody uses.
    assert (model.parameters, model.frozen_bytes) == (16, 64)
    assert model.ops["While"] == 1
    assert model.ops["BatchMatMulV2"] == 1
    assert model.entry == "."
    assert model.size_bytes == sum(path.stat().st_size for path in (models / "two_signatures").rglob("*") if path.is_file())


def test_tf1_savedmodel(models: Path) -> None:
    model = inspect_model(models / "tf1")
    assert [signature.name for signature in model.signatures] == ["hidden", "predict"]
    assert rows(model.signature("predict").inputs) == [("x", "float32", ("batch", 6))]
    assert rows(model.signature("predict").outputs) == [("scores", "float32", ("batch", 2))]
    assert model.parameters == 6 * 5 + 5 * 5  # the reference variable and the constant; `hidden` needs no more


def test_keras_export_counts_each_variable_once(models: Path, inspected: dict[str, Model]) -> None:
    model = inspect_model(models / "keras_export")
    assert model.signatures[0].name == "serving_default"
    assert model.parameters == inspected["functional.keras"].parameters == 3 * 3 * 3 * 4 + 4 + 4 * 4 + 144 * 10 + 10
    assert model.frozen_bytes == 4 * model.parameters


@pytest.mark.parametrize("name", ["functional.keras", "functional.h5"])
def test_keras(inspected: dict[str, Model], name: str) -> None:
    model = inspected[name]
    assert model.format is Format.KERAS
    assert model.producer is not None
    assert model.producer.startswith("Keras 3.")
    assert rows(model.signatures[0].inputs) == [("image", "float32", ("batch", 8, 8, 3))]
    assert rows(model.signatures[0].outputs) == [("scores", "float32", ("batch", 10))]
    assert model.parameters == 1578
    assert model.ops == {"BatchNormalization": 1, "Conv2D": 1, "Dense": 1, "Dropout": 1, "Flatten": 1}
    assert model.entry == f"model{Path(name).suffix}"


def test_sequential_keras(inspected: dict[str, Model]) -> None:
    model = inspected["sequential.keras"]
    assert rows(model.signatures[0].inputs) == [("steps", "float32", ("batch", "steps_1", 5))]
    assert rows(model.signatures[0].outputs) == [("out", "float32", ("batch", 2))]
    assert model.parameters == 4 * 3 * (5 + 3 + 1) + 3 * 2 + 2


@pytest.mark.usefixtures("real_processes")
def test_keras_with_a_custom_layer_is_told_from_its_config(models: Path) -> None:
    model = inspect_model(models / "custom.keras")
    assert rows(model.signatures[0].inputs) == [("x", "float32", ("batch", 5))]
    assert rows(model.signatures[0].outputs) == [("twice", "unknown", None)]
    assert "Twice" in model.notes[0]


def test_frozen_graph_guesses_and_says_so(inspected: dict[str, Model]) -> None:
    model = inspected["frozen.pb"]
    assert model.format is Format.GRAPHDEF
    assert rows(model.signatures[0].inputs) == [("x", "float32", ("batch", 300))]
    assert rows(model.signatures[0].outputs) == [("Identity", "int64", ("batch",)), ("Identity_1", "float32", ("batch", 7))]
    assert model.parameters == 2100
    assert [note.split(";")[0] for note in model.notes] == ["No outputs were named", "No inputs were named"]


@pytest.mark.usefixtures("real_processes")
def test_frozen_graph_with_named_tensors(models: Path, inspected: dict[str, Model]) -> None:
    model = inspect_model(models / "frozen.pb", inputs=["x:0"], outputs=["Softmax"])
    assert rows(model.signatures[0].outputs) == [("Softmax", "float32", ("batch", 7))]
    assert not model.notes
    assert "ArgMax" not in model.ops
    assert model.digest != inspected["frozen.pb"].digest


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [(["x"], ["nope"], "no tensor 'nope'"), (["nope"], [], "no tensor 'nope'"), (["Softmax"], ["ArgMax"], "also need .*x")],
)
def test_frozen_graph_with_wrong_names(models: Path, inputs: list[str], outputs: list[str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        inspect_model(models / "frozen.pb", inputs=inputs, outputs=outputs)


def test_tensor_names_are_for_frozen_graphs_alone(models: Path) -> None:
    with pytest.raises(InvalidRequest, match="frozen graphs alone"):
        inspect_model(models / "two_signatures", inputs=["x"])


@pytest.mark.parametrize(("name", "size"), [("float.tflite", 8400), ("int8.tflite", 2100)])
def test_tflite(models: Path, name: str, size: int) -> None:
    model = inspect_model(models / name)
    assert model.format is Format.TFLITE
    assert model.producer is not None
    assert model.producer.startswith("TensorFlow 2.")
    assert [signature.name for signature in model.signatures] == ["serving_default"]
    assert rows(model.signatures[0].inputs) == [("x", "float32", ("batch", 300))]
    assert rows(model.signatures[0].outputs) == [("best", "int64", ("batch",)), ("scores", "float32", ("batch", 7))]
    assert (model.parameters, model.frozen_bytes) == (2100, size)
    assert model.ops == {"ARG_MAX": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}


def test_all_light_networks_are_found() -> None:
    assert len(LIGHT) == 9


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_light_networks(path: Path) -> None:
    model = inspect_model(path)
    assert (model.format, model.opset, model.entry) == (Format.ONNX, 9, "model.onnx")
    (signature,) = model.signatures
    assert [spec.shape for spec in signature.inputs] == [(1, 3, 224, 224)]
    assert signature.outputs[0].shape is not None
    assert signature.outputs[0].shape[:2] == (1, 1000)
    assert model.parameters is not None
    assert model.parameters == LIGHT_PARAMETERS.get(path.stem, model.parameters) > 1_000_000
    assert model.frozen_bytes == 4 * model.parameters
    assert model.ops["Conv"] > 0


def test_savedmodel_without_signatures(models: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no signature") as caught:
        inspect_model(models / "no_signatures")
    assert "signatures=" in caught.value.hint
