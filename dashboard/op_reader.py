"""Reads the operations of a model; in a process of its own, since a file with its weights inside can be gigabytes large."""

from __future__ import annotations

from pathlib import Path

from core.base.tensors import Signature
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor
from core.graph.operations import operations
from core.models.model import Format

MOST_TENSORS = 40  # of one operation; a Concat can have thousands


def read_ops(kind: Format, path: Path, signature: Signature) -> EngineGraph:
    """The operations of a model as layers of one node each.

    Raises:
        BrokenModel: It cannot be read.
    """
    return EngineGraph(
        layers=tuple(
            Layer(
                name=node.name,
                kind=node.op,
                inputs=tuple(LayerTensor(name=name) for name in node.inputs[:MOST_TENSORS]),
                outputs=tuple(LayerTensor(name=name) for name in node.outputs[:MOST_TENSORS]),
            )
            for node in operations(kind, path, signature)
        ),
        source_nodes=(),
    )
