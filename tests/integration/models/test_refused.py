"""Everything that is not a model we read: what is said of it, and that nothing worse happens."""

import contextlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from core.base.errors import BrokenModel, EngineRoomError, NotFound, UnsupportedModel
from core.base.serialization import to_data
from core.intake.add_model import add_model
from core.storage.workspace import Workspace
from tests.integration.models.inspecting import inspect_model


def write(name: str, data: bytes | str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return make


def write_zip(name: str, **members: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return folder / name

    return make


def write_folder(**files: bytes | str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for name, data in files.items():
            write(f"given/{name}", data)(folder)
        return folder / "given"

    return make


def safetensors(name: str) -> Callable[[Path], Path]:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return write(name, struct.pack("<Q", len(header)) + header + bytes(4))


def numpy_zip(folder: Path) -> Path:
    np.savez(folder / "arrays.npz", a=np.ones(3))
    return folder / "arrays.npz"


def plain_hdf5(folder: Path) -> Path:
    with h5py.File(folder / "data.h5", "w") as file:
        file["x"] = np.ones(3)
    return folder / "data.h5"


TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
NOISE = np.random.default_rng(0).bytes(5000)
ONNX_TENSOR = numpy_helper.from_array(np.ones((2, 3), np.float32), "input").SerializeToString()
UFF = b"\x08\x01\x10\x01\x1a\x02\x0a\x00\x22\x04\x0a\x02ab"
CORE_ML = b"\x08\x01\x12\x04\x0a\x02ab\xa2\x1f\x02\x0a\x00"  # field 500: a neural network

FOREIGN: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "uff": (write("m.uff", UFF), "UFF", "SavedModel"),
    "torch zip": (write_zip("m.pt", **{"archive/data.pkl": b"x", "archive/data/0": b"y"}), "PyTorch pickle", "torch.onnx.export"),
    "torch zip renamed": (write_zip("m.zip", **{"archive/data.pkl": b"x"}), "PyTorch pickle", "torch.onnx.export"),
    "torch old": (write("m.pth", TORCH_MAGIC), "PyTorch pickle", "torch.onnx.export"),
    "torchscript": (
        write_zip("m.pt", **{"m/data.pkl": b"", "m/constants.pkl": b"", "m/code/a.py": b""}),
        "TorchScript",
        "torch.onnx",
    ),
    "torch.export": (write_zip("m.pt2", **{"serialized_exported_program.json": b"{}"}), "torch.export", "torch.onnx.export"),
    "pickle": (write("model.joblib", b"\x80\x04\x95\x10\x00sklearn.tree"), "Python pickle", "skl2onnx"),
    "safetensors": (safetensors("model.safetensors"), "safetensors", "ONNX"),
    "engine": (write("m.engine", b"ptrt" + NOISE), "TensorRT engine", "ONNX"),
    "engine renamed": (write("m.onnx", b"ftrt" + NOISE), "TensorRT engine", "ONNX"),
    "openvino": (write("m.xml", '<?xml version="1.0"?>\n<net name="m" version="11">'), "OpenVINO", "ONNX"),
    "gguf": (write("m.gguf", b"GGUF\x03\x00\x00\x00" + NOISE), "GGUF", "ONNX"),
    "core ml": (write("m.mlmodel", CORE_ML), "Core ML", "ONNX"),
    "core ml package": (
        write_folder(**{"m.mlpackage/Manifest.json": "{}", "m.mlpackage/Data/com.apple.CoreML/model.mlmodel": CORE_ML}),
        "Core ML",
        "ONNX",
    ),
    "tf.js": (write("model.json", '{"format": "graph-model", "modelTopology": {}}'), "TensorFlow.js", "SavedModel"),
    "hugging face": (
        write_folder(**{"config.json": '{"architectures": ["Bert"]}', "model.safetensors": NOISE, "vocab.txt": "a\nb"}),
        "Hugging Face",
        "optimum-cli",
    ),
    "unpacked keras": (
        write_folder(**{"config.json": "{}", "metadata.json": "{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"}),
        "unpacked .keras",
        ".keras file",
    ),
    "ort": (write("m.ort", b"\x10\x00\x00\x00ORTM" + NOISE), "ORT", "ONNX"),
    "lfs pointer": (write("m.onnx", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "Git LFS", "git lfs pull"),
    "web page": (write("m.onnx", "<!DOCTYPE html><html>Not found</html>"), "web page", "Download"),
    "npz": (numpy_zip, "NumPy", "inputs"),
    "onnx tensor": (write("input_0.pb", ONNX_TENSOR), "ONNX tensor", ".onnx"),
    "hdf5": (plain_hdf5, "no Keras model", "model.save"),
    "7z": (write("m.7z", b"7z\xbc\xaf\x27\x1c" + NOISE), "archive", ".zip"),
    "noise": (write("m.bin", NOISE), "no format known", "SavedModel"),
    "text": (write("notes.txt", "hello"), "no format known", "SavedModel"),
    "folder of texts": (write_folder(**{"a.txt": "1", "b.txt": "2"}), "a.txt, b.txt", "ONNX"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files(tmp_path: Path, kind: str) -> None:
    make, what, hint = FOREIGN[kind]
    with pytest.raises(UnsupportedModel) as caught:
        inspect_model(make(tmp_path))
    assert what in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("checkpoint", "TensorFlow checkpoint"),
        ("checkpoint/ckpt.index", "TensorFlow checkpoint"),
        ("checkpoint/ckpt.data-00000-of-00001", "TensorFlow checkpoint"),
        ("saver", "TensorFlow checkpoint"),
        ("saver/checkpoint", "TensorFlow checkpoint"),
        ("saver/model.ckpt.meta", "TensorFlow checkpoint"),
        ("only.weights.h5", "weights of a Keras model"),
        ("architecture.json", "without weights"),
        ("frozen.pbtxt", "as text"),
    ],
)
def test_foreign_files_of_tensorflow(models: Path, name: str, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words) as caught:
        inspect_model(models / name)
    assert caught.value.hint


def test_weights_alone_under_another_name(models: Path, tmp_path: Path) -> None:
    path = write("model.h5", (models / "only.weights.h5").read_bytes())(tmp_path)
    with pytest.raises(UnsupportedModel, match="weights of a Keras model"):
        inspect_model(path)


def test_unfrozen_graph(models: Path, tmp_path: Path) -> None:
    from core.models.tf_schema import parse

    saved = parse("SavedModel", (models / "tf1" / "saved_model.pb").read_bytes(), "tf1")
    path = write("graph.pb", saved.meta_graphs[0].graph_def.SerializeToString())(tmp_path)
    with pytest.raises(UnsupportedModel, match="not frozen: 2 variables"):
        inspect_model(path, outputs=["scores"])


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty file": (write("m.onnx", b""), "m.onnx is empty"),
    "empty folder": (lambda folder: folder, "no files"),
    "noise as onnx": (write("m.onnx", NOISE), "m.onnx is not ONNX"),
    "noise as keras": (write("m.keras", NOISE), "not a Keras archive"),
    "noise as tflite in a folder": (write_folder(**{"m.tflite": NOISE, "README": "x"}), "not TensorFlow Lite"),
    "noise as zip": (write("m.zip", b"PK\x03\x04" + NOISE), "damaged"),
    "keras without weights": (write_zip("m.keras", **{"config.json": b"{}", "metadata.json": b"{}"}), "lacks a part"),
    "keras with bad config": (
        write_zip("m.keras", **{"config.json": b"{", "metadata.json": b"{}", "model.weights.h5": b""}),
        "damaged",
    ),
    "hdf5 cut short": (write("m.h5", b"\x89HDF\r\n\x1a\n" + NOISE), "cut short"),
    "onnx without outputs": (
        write("m.onnx", onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])).SerializeToString()),
        "no outputs",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files(tmp_path: Path, kind: str) -> None:
    make, words = BROKEN[kind]
    with pytest.raises(BrokenModel, match=words) as caught:
        inspect_model(make(tmp_path))
    assert caught.value.hint


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        inspect_model(tmp_path / "nope.onnx")


def test_device_is_not_read() -> None:
    with pytest.raises(UnsupportedModel, match="neither a file nor a folder"):
        inspect_model(Path("/dev/zero"))


@pytest.mark.parametrize(
    "name", ["two_signatures/saved_model.pb", "float.tflite", "functional.keras", "functional.h5", "frozen.pb"]
)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_files_cut_short(models: Path, tmp_path: Path, name: str, part: float) -> None:
    data = (models / name).read_bytes()
    path = write(Path(name).name, data[: int(len(data) * part)])(tmp_path)
    with pytest.raises((BrokenModel, UnsupportedModel)) as caught:
        inspect_model(path)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["float.tflite", "two_signatures/saved_model.pb", "light.onnx"])
def test_flipped_bytes_never_end_in_a_bare_traceback(models: Path, tmp_path: Path, name: str) -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light/light_squeezenet.onnx"
    data = (light if name == "light.onnx" else models / name).read_bytes()
    dice = np.random.default_rng(1)
    (tmp_path / "variables").symlink_to(models / "two_signatures" / "variables")
    path = tmp_path / Path(name).name
    read = 0
    for count in (1, 5, 50) * 40:
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[dice.integers(len(damaged), size=count)] = dice.integers(256, size=count)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(EngineRoomError):
            to_data(inspect_model(path))
            read += 1
    assert read < 120


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    """A pickle that would leave a trace leaves none."""
    trace = tmp_path / "trace"
    bomb = b"cos\nsystem\n(S'touch " + str(trace).encode() + b"'\ntR."
    for make in (write("m.pt", b"\x80\x02" + bomb), write("m.pkl", bomb), write_zip("n.pt", **{"a/data.pkl": bomb})):
        with pytest.raises(UnsupportedModel):
            add_model(make(tmp_path), Workspace(tmp_path / "workspace"))
    assert not trace.exists()
