"""What a model computes, as nodes: read from its file in its own format, before anything is converted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.base.tensors import Signature
from core.graph.engine_graph import SourceNode
from core.graph.keras_source import layers_of_keras
from core.graph.source import nodes_of_onnx
from core.graph.tensorflow_source import Naming, source_nodes
from core.graph.tflite_source import operators_of, subgraph_of
from core.models.keras_model import keras_config
from core.models.model import Format
from core.models.savedmodel import signature_graph
from core.models.tf_graph import part_behind
from core.models.tf_schema import parse
from core.models.tflite_tables import read_tables
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
        tables = read_tables(path)
        return operators_of(tables, subgraph_of(tables, signature.name))
    if kind is Format.SAVEDMODEL:
        return _tensorflow(signature_graph(path, signature.name))
    graph = parse("GraphDef", path.read_bytes(), path.name)
    return _tensorflow(part_behind(graph, [spec.name for spec in signature.outputs], [spec.name for spec in signature.inputs]))


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
