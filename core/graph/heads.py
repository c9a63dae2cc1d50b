"""What stands at a model's outputs, as far as their comparison hangs on it: a sigmoid, or a grid of quantized values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from core.base.dtypes import tflite_dtype
from core.base.tensors import Signature
from core.graph.engine_graph import SourceNode
from core.graph.operations import operations
from core.graph.source import is_quantized
from core.models.keras_model import keras_config
from core.models.model import Format
from core.models.tflite_tables import read_tables, signature_ends, text
from core.onnxio.file import read_onnx
from core.parity.judging import Judging

_SIGMOIDS = frozenset({"Sigmoid", "LOGISTIC", "Logistic"})
# What moves values about and leaves each as it is.
_MOVING = frozenset(
    {
        "Identity", "IdentityN", "Reshape", "RESHAPE", "Transpose", "TRANSPOSE", "Squeeze", "SQUEEZE", "Unsqueeze", "ExpandDims",
        "EXPAND_DIMS", "Flatten", "Slice", "SLICE", "StridedSlice", "STRIDED_SLICE", "Split", "SPLIT", "Gather", "GatherV2",
        "GATHER", "Concat", "ConcatV2", "CONCATENATION", "Pack", "PACK", "Unpack", "Cast", "CAST", "Tile", "Expand",
        "DepthToSpace",
    }
)  # fmt: skip
_JOINING = frozenset({"Concat", "ConcatV2", "CONCATENATION", "Pack", "PACK"})


def judgings(kind: Format, path: Path, signature: Signature) -> dict[str, Judging]:
    """How each output is to be judged, by its name; those of which nothing is known are left out.

    Raises:
        EngineRoomError: The file cannot be read.
    """
    if kind is Format.ONNX:
        found = _of_onnx(path, signature)
    elif kind is Format.TFLITE:
        found = _of_tflite(path, signature)
    else:
        found = _of_tensorflow(kind, path, signature)
    return {name: judging for name, judging in found.items() if judging != Judging()}


def _of_onnx(path: Path, signature: Signature) -> dict[str, Judging]:
    model = read_onnx(path, weights=False)
    made = {name: node for node in model.graph.node for name in node.output if name}
    nodes = {name: SourceNode(name=node.name, op=node.op_type, inputs=tuple(node.input)) for name, node in made.items()}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.HasField("t")
    }
    found = {}
    for spec in signature.outputs:
        heads = list(_heads(spec.name, nodes))
        steps = {_step(made.get(head), spec.dtype, constants) for head in heads}
        step = steps.pop() if len(steps) == 1 else None
        found[spec.name] = Judging(logistic=_all_sigmoids(heads, nodes), step=step)
    return found


def _step(node: onnx.NodeProto | None, dtype: str, constants: Mapping[str, onnx.TensorProto]) -> float | None:
    """What one step of the grid is that a node puts its values on; None where it puts them on none."""
    if node is None or not is_quantized(node.op_type):
        return None
    if node.op_type == "DequantizeLinear":
        scale = constants.get(node.input[1])
        values = numpy_helper.to_array(scale).astype(np.float64).ravel() if scale is not None else np.empty(0)
        return float(values[0]) if values.size == 1 and values[0] > 0 else None
    return 1.0 if dtype.startswith(("int", "uint")) and "Integer" not in node.op_type else None


def _of_tflite(path: Path, signature: Signature) -> dict[str, Judging]:
    model = read_tables(path)
    ends = signature_ends(model, signature.name)
    graph = model.Subgraphs(ends.subgraph if ends else 0)
    tensors = {text(tensor.Name()): tensor for tensor in map(graph.Tensors, range(graph.TensorsLength()))}
    nodes = {name: node for node in operations(Format.TFLITE, path, signature) for name in node.outputs}
    found = {}
    for spec in signature.outputs:
        own = ends.outputs.get(spec.name, spec.name) if ends else spec.name
        heads = list(_heads(own, nodes))
        step = None
        if own in tensors and _scale(tensors[own]) and tflite_dtype(tensors[own].Type()).startswith(("int", "uint")):
            step = 1.0
        elif len(heads) == 1 and heads[0] in nodes and nodes[heads[0]].op == "DEQUANTIZE":
            read = nodes[heads[0]].inputs[0]
            step = _scale(tensors[read]) if read in tensors else None
        found[spec.name] = Judging(logistic=_all_sigmoids(heads, nodes), step=step)
    return found


def _scale(tensor: Any) -> float | None:
    """A tensor's own scale; None where it has none, or one a channel."""
    quantization = tensor.Quantization()
    if quantization is None or quantization.ScaleLength() != 1:
        return None
    return float(quantization.Scale(0)) or None


def _of_tensorflow(kind: Format, path: Path, signature: Signature) -> dict[str, Judging]:
    """Outputs' names are not the nodes': a sigmoid is known where one makes every output."""
    nodes = {name: node for node in operations(kind, path, signature) for name in node.outputs}
    read = {name for node in nodes.values() for name in node.inputs}
    ends = [head for name in nodes if name not in read for head in _heads(name, nodes)]
    sigmoids = set(_keras_sigmoids(path)) if kind is Format.KERAS else set()
    logistic = bool(ends) and all(nodes[end].op in _SIGMOIDS or end in sigmoids for end in ends if end in nodes)
    return {spec.name: Judging(logistic=logistic) for spec in signature.outputs}


def _keras_sigmoids(path: Path) -> Iterator[str]:
    """Names of the layers that end in a sigmoid."""
    inner = keras_config(path).get("config", {})
    for layer in inner if isinstance(inner, list) else inner.get("layers", []):
        config = layer.get("config", {})
        activation = config.get("activation")
        if activation == "sigmoid" or (isinstance(activation, dict) and activation.get("config") == "sigmoid"):
            yield layer.get("name") or config.get("name", "")


def _heads(name: str, nodes: Mapping[str, SourceNode]) -> Iterator[str]:
    """The tensors whose values an output has, behind what only moves them about."""
    pending, seen = [name], {name}
    while pending:
        here = pending.pop()
        node = nodes.get(here)
        if node is None or node.op not in _MOVING or not node.inputs:
            yield here
            continue
        behind: Iterable[str] = node.inputs if node.op in _JOINING else _value_of(node)
        fresh = [one for one in behind if one not in seen]
        seen.update(fresh)
        pending += fresh


def _value_of(node: SourceNode) -> tuple[str, ...]:
    """The input whose values a moving node hands on; Split of TensorFlow and TFLite has its axis first."""
    last = node.op == "SPLIT"
    return node.inputs[-1:] if last else node.inputs[:1]


def _all_sigmoids(heads: Iterable[str], nodes: Mapping[str, SourceNode]) -> bool:
    makers = [nodes.get(head) for head in heads]
    return bool(makers) and all(node is not None and node.op in _SIGMOIDS for node in makers)
