"""Freezing: variables become constants, and the model one graph file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.backends.tensorflow._loading import Flat, graph_call, with_constants
from core.base.errors import BuildFailed
from core.base.serialization import read_json, write_json

GRAPH = "graph.pb"
ENDS = "ends.json"
_PROTOBUF_LIMIT = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Names of the frozen graph's tensors, in the signature's order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def freeze(function: Any) -> Any:
    """The concrete function with its variables as constants.

    Raises:
        BuildFailed: It holds something that is no variable, such as a lookup table, or writes a variable.
    """
    frozen = with_constants(function)
    if kept := [tensor for tensor in frozen.inputs if tensor.dtype.name in ("resource", "variant")]:
        raise BuildFailed(
            f"Freezing leaves {len(kept)} resource(s) outside the graph, used by {', '.join(_users(frozen.graph, kept))}.",
            hint="Only variables can be frozen, no lookup tables: use the signature variant.",
        )
    return frozen


def save(frozen: Any, folder: Path) -> None:
    """Writes the graph and the names of its ends.

    Raises:
        BuildFailed: The graph is above protobuf's 2 GiB.
    """
    graph = frozen.graph.as_graph_def()
    if graph.ByteSize() >= _PROTOBUF_LIMIT:
        raise BuildFailed(
            f"The frozen graph has {graph.ByteSize() / 2**30:.1f} GiB; one file can hold 2 GiB.",
            hint="Use the signature or XLA variant, or a path through ONNX, which keeps weights in files of their own.",
        )
    folder.mkdir(parents=True)
    (folder / GRAPH).write_bytes(graph.SerializeToString())
    ends = Ends(inputs=tuple(tensor.name for tensor in frozen.inputs), outputs=tuple(tensor.name for tensor in frozen.outputs))
    write_json(folder / ENDS, ends)


def load(tf: Any, folder: Path) -> Flat:
    """What `save` wrote."""
    ends = read_json(Ends, folder / ENDS)
    graph = tf.compat.v1.GraphDef.FromString((folder / GRAPH).read_bytes())
    return graph_call(tf, graph, list(ends.inputs), list(ends.outputs))


def _users(graph: Any, tensors: list[Any]) -> list[str]:
    names = {tensor.op.name for tensor in tensors}
    reached = set(names)
    users: dict[str, None] = {}
    for node in graph.as_graph_def().node:
        if any(tensor.partition(":")[0] in reached for tensor in node.input):
            if node.op == "Identity":
                reached.add(node.name)
            else:
                users[node.op] = None
    return list(users)
