"""`python -m dashboard.op_reader FORMAT FILE SIGNATURE`: prints the operations of a model as JSON; the signature is JSON too.

A process of its own, since a file with its weights inside can be gigabytes large.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

from core.base.errors import EngineRoomError, Failure
from core.base.serialization import from_data, to_data
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


def _child(kind: str, path: str, signature: str) -> None:
    with suppress(OSError):  # when memory runs out, this process is to go and not the server
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        answer = to_data(read_ops(Format(kind), Path(path), from_data(Signature, json.loads(signature))))
    except EngineRoomError as error:
        answer = {"error": to_data(Failure.of(error))}
    print(json.dumps(answer))


if __name__ == "__main__":
    _child(*sys.argv[1:])
