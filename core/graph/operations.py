"""What a model computes, as nodes: read from its file in its own format, before anything is converted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.base.errors import Unavailable
from core.base.tensors import Signature
from core.graph.engine_graph import SourceNode
from core.graph.keras_source import layers_of_keras
from core.graph.source import nodes_of_onnx
from core.graph.tensorflow_source import Naming, source_nodes
from core.graph.tflite_source import operators_of, subgraph_of
from core.models.keras_model import keras_config
from core.models.model import Format
from core.models.savedmodel import signature_graph
from core.models.tf_graph import nodes_behind
from core.models.tf_schema import parse
from core.onnxio.file import read_onnx

# What only hands a value on, or fetches a weight.
_SILENT = ("Identity", "IdentityN", "ReadVariableOp", "VarHandleOp", "VariableV2", "StopGradient")


def operations(kind: Format, path: Path, signature: Signature) -> tuple[SourceNode, ...]:
    """The nodes that lie behind a signature's outputs (a file of one graph: all of them), constants left out.

    Args:
        path: The model's file, a SavedModel's folder.

    Raises:
        BrokenModel: It cannot be read.
        Unavailable: The package that reads this format is not installed.
    """
    if kind is Format.ONNX:
        return tuple(node for node in nodes_of_onnx(read_onnx(path, weights=False)).nodes if node.op != "Constant")
    if kind is Format.KERAS:
        return layers_of_keras(keras_config(path))
    if kind is Format.TFLITE:
        return _tflite(path, signature.name)
    if kind is Format.SAVEDMODEL:
        return _tensorflow(signature_graph(path, signature.name))
    graph = parse("GraphDef", path.read_bytes(), path.name)
    return _tensorflow(_behind(graph, [spec.name for spec in signature.outputs], [spec.name for spec in signature.inputs]))


def _behind(graph: Any, outputs: Iterable[str], inputs: Iterable[str]) -> Any:
    wanted = {node.name for node in nodes_behind(graph.node, outputs, inputs)}
    found = type(graph)(library=graph.library)
    found.node.extend(node for node in graph.node if node.name in wanted)
    return found


def _tensorflow(graph: Any) -> tuple[SourceNode, ...]:
    nodes = {node.name: node for node in source_nodes(graph)}
    short = Naming(nodes)

    def makers(name: str) -> Iterable[str]:
        node = nodes.get(name)
        if node is None or node.op not in _SILENT:
            yield short(name)
        else:
            for read in node.inputs:
                yield from makers(read)

    return tuple(
        SourceNode(
            name=short(node.name),
            op=node.op,
            inputs=tuple(dict.fromkeys(maker for name in node.inputs for maker in makers(name))),
            outputs=(short(node.name),),
        )
        for node in nodes.values()
        if node.op not in _SILENT
    )


def _tflite(path: Path, signature: str) -> tuple[SourceNode, ...]:
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise Unavailable("Reading .tflite files needs LiteRT.", hint="pip install ai-edge-litert") from error
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    return operators_of(schema, model, subgraph_of(model, signature))
