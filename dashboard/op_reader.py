"""`python -m dashboard.op_reader FILE`: prints the operations of an ONNX file as JSON.

A process of its own, since a file with its weights inside can be gigabytes large.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

from core.errors import EngineRoomError, error_to_dict
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor
from core.graph.source import nodes_of_onnx
from core.onnxfile import read_onnx
from core.serialization import to_data

MOST_TENSORS = 40  # of one operation; a Concat can have thousands


def read_ops(path: Path) -> EngineGraph:
    """The main graph's operations in its order, constants left out.

    Raises:
        BrokenModel: It is no ONNX model.
    """
    source = nodes_of_onnx(read_onnx(path, weights=False))
    nodes = tuple(node for node in source.nodes if node.op != "Constant")
    return EngineGraph(
        layers=tuple(
            Layer(
                name=node.name,
                kind=node.op,
                inputs=tuple(LayerTensor(name=name) for name in node.inputs[:MOST_TENSORS]),
                outputs=tuple(LayerTensor(name=name) for name in node.outputs[:MOST_TENSORS]),
            )
            for node in nodes
        ),
        source_nodes=(),
        notes=source.notes,
    )


def _child(path: Path) -> None:
    with suppress(OSError):  # when memory runs out, this process is to go and not the server
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        answer = to_data(read_ops(path))
    except EngineRoomError as error:
        answer = {"error": error_to_dict(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    _child(Path(sys.argv[1]))
