"""What people upload that we do not read: recognised by content, so that each gets a sentence on what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.base.errors import UnsupportedModel

_ONNX_FROM_TORCH = "Export ONNX where the model's code is: torch.onnx.export(model, inputs, 'model.onnx')."
_SAVEDMODEL = (
    "Export a SavedModel where the model's code is: tf.saved_model.save(model, folder), or Keras's model.export(folder)."
)
_SOURCE_MODEL = "Give the model it was made from: a SavedModel, ONNX, Keras or TFLite file."


@dataclass(frozen=True, slots=True)
class Foreign:
    """A format that we do not read: what it is (after "x is ...") and what to give instead."""

    what: str
    hint: str

    def error(self, name: str) -> UnsupportedModel:
        return UnsupportedModel(f"{name} is {self.what}.", hint=self.hint)


TORCH = Foreign("a PyTorch pickle: weights and Python objects, without a graph, and unsafe to open", _ONNX_FROM_TORCH)
TORCHSCRIPT = Foreign("a TorchScript archive", _ONNX_FROM_TORCH)
TORCH_EXPORT = Foreign("a torch.export archive", _ONNX_FROM_TORCH)
PICKLE = Foreign(
    "a Python pickle, which can run any code when it is opened",
    "Export ONNX instead: skl2onnx for scikit-learn, torch.onnx.export for PyTorch.",
)
SAFETENSORS = Foreign(
    "a safetensors file: weights without a graph", f"{_ONNX_FROM_TORCH} For Hugging Face: optimum-cli export onnx."
)
HUGGING_FACE = Foreign(
    "a Hugging Face model folder: weights and a config, without a graph",
    "Export ONNX: optimum-cli export onnx --model FOLDER OUT.",
)
CHECKPOINT = Foreign("a TensorFlow checkpoint: values of variables, without the graph that uses them", _SAVEDMODEL)
TENSORRT = Foreign(
    "a TensorRT engine: already built, for one GPU type and one TensorRT version",
    "Give the model it was built from, such as its ONNX file.",
)
UFF = Foreign("a UFF file, a format that TensorRT dropped in version 9", "Give the SavedModel or frozen graph it was made from.")
OPENVINO = Foreign("an OpenVINO model (.xml with .bin)", _SOURCE_MODEL)
GGUF = Foreign("a GGUF file of llama.cpp", "Give the model it was made from as ONNX: optimum-cli export onnx.")
COREML = Foreign("a Core ML model", _SOURCE_MODEL)
TFJS = Foreign("a TensorFlow.js model", _SOURCE_MODEL)
TEXT_GRAPH = Foreign(
    "a TensorFlow graph written as text", "Save it as binary: tf.io.write_graph(graph, folder, name, as_text=False)."
)
KERAS_JSON = Foreign("a Keras architecture without weights", "Save the whole model: model.save('model.keras').")
KERAS_UNPACKED = Foreign("an unpacked .keras file", "Give the .keras file itself, as model.save wrote it.")
KERAS_WEIGHTS = Foreign(
    "the weights of a Keras model and not the model itself", "Save the whole model: model.save('model.keras')."
)
ORT = Foreign("an ORT file, ONNX Runtime's own format", "Give the ONNX file it was made from.")
LFS = Foreign("a Git LFS pointer and not the file itself", "Fetch the file: git lfs pull.")
HTML = Foreign("a web page", "Download the file itself; the link led to a page about it.")
NUMPY = Foreign("a NumPy array file", "Give the model; arrays can be given as its inputs.")
ONNX_TENSOR = Foreign("a single ONNX tensor, such as a model's test data", "Give the .onnx file.")
ARCHIVE = Foreign("an archive of a kind that is not unpacked here", "Pack the model as .zip or .tar.gz.")

_MAGIC = (
    ((b"ptrt", b"ftrt"), TENSORRT),
    ((b"GGUF", b"ggml", b"ggjt"), GGUF),
    ((b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19",), TORCH),  # the number that torch.save's old format starts with
    ((b"\x93NUMPY",), NUMPY),
    ((b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x28\xb5\x2f\xfd"), ARCHIVE),
    ((b"version https://git-lfs",), LFS),
)
_SUFFIXES = {
    ".uff": UFF,
    ".ckpt": CHECKPOINT,
    ".meta": CHECKPOINT,
    ".engine": TENSORRT,
    ".plan": TENSORRT,
    ".trt": TENSORRT,
    ".pt": TORCH,
    ".pth": TORCH,
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".joblib": PICKLE,
    ".mlmodel": COREML,
    ".caffemodel": Foreign("a Caffe model", "Convert it to ONNX."),
    ".prototxt": Foreign("a Caffe network description", "Convert the model to ONNX."),
    ".pdmodel": Foreign("a PaddlePaddle model", "Export ONNX: paddle2onnx."),
    ".weights": Foreign("a Darknet weights file", "Convert the model to ONNX."),
    ".py": Foreign("Python code", "Run it and give the model it saves."),
    ".ipynb": Foreign("a Jupyter notebook", "Run it and give the model it saves."),
}
# How a text begins, what it holds further on, and what it is then.
_TEXTS = tuple(
    (re.compile(start, re.IGNORECASE), re.compile(inside), found)
    for start, inside, found in (
        (r"<!doctype html|<html", "", HTML),
        (r"<\?xml|<net", "<net ", OPENVINO),
        (r"node \{|library \{|saved_model_schema_version:|meta_graphs \{|meta_info_def \{", "", TEXT_GRAPH),
        (r"\{", '"modelTopology"|"weightsManifest"', TFJS),
        (r"\{", '"class_name"', KERAS_JSON),
        (r"\{", '"architectures"|"model_type"', HUGGING_FACE),
    )
)
# The magic number at the end of a checkpoint's index (LevelDB's table format).
_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
_SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")


def foreign_file(name: str, head: bytes, tail: bytes) -> Foreign | None:
    """What a file is by its first and last bytes, if it is something we know and do not read."""
    for starts, found in _MAGIC:
        if head.startswith(starts):
            return found
    if head[4:8] == b"ORTM":
        return ORT
    if tail.endswith(_TABLE_END) or _SHARD.search(name) or head.startswith(b"model_checkpoint_path:"):
        return CHECKPOINT
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") < 1 << 30:
        return SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return TORCH if b"torch" in head else PICKLE
    return _foreign_text(head)


def foreign_suffix(suffix: str) -> Foreign | None:
    """What a file says it is by its name alone, where its content tells nothing."""
    return _SUFFIXES.get(suffix.lower())


def foreign_zip(names: Iterable[str]) -> Foreign | None:
    """What a zip is by the names it holds, if it is a format of its own that we do not read."""
    held = list(names)
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in held):
        return TORCHSCRIPT if any(name.endswith("/constants.pkl") for name in held) else TORCH
    if any(name.endswith(("/archive_format", "serialized_exported_program.json")) for name in held):
        return TORCH_EXPORT
    if held and all(name.endswith(".npy") for name in held):
        return NUMPY
    return None


def foreign_folder(names: Iterable[str]) -> Foreign | None:
    """What a folder is by the relative names of its files, where no model we read is in it."""
    held = list(names)
    bare = {name.rpartition("/")[2] for name in held}
    if "config.json" in bare and "model.weights.h5" in bare:
        return KERAS_UNPACKED
    if any(".mlpackage/" in f"/{name}" or name.endswith("com.apple.CoreML/model.mlmodel") for name in held):
        return COREML
    if "config.json" in bare and any(name.endswith((".safetensors", ".bin", ".h5", ".msgpack")) for name in bare):
        return HUGGING_FACE
    if "checkpoint" in bare or any(name.endswith(".index") or _SHARD.search(name) for name in bare):
        return CHECKPOINT
    return None


def _foreign_text(head: bytes) -> Foreign | None:
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    return next((found for start, inside, found in _TEXTS if start.match(text) and inside.search(text)), None)
