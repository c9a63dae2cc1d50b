"""Weights of a large model: taken out of TensorFlow's graph, and moved from tf2onnx's graph to a file, each copied once.

tf2onnx's own way (`large_model`) keeps three copies of every weight until the end, and does not work with NumPy 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from onnx import NodeProto, TensorProto, helper

from core.onnxio.file import PAGE_BYTES, written_apart


def taken_out(graph: Any) -> tuple[Any, Mapping[str, bytes]]:
    """The `GraphDef` without its large constants, and their bytes by node name. The graph given loses them too."""
    from tf2onnx.tf_utils import compress_graph_def

    weights: Mapping[str, bytes] = compress_graph_def(graph)
    # A message that has let go of its content still holds the memory; its copy does not.
    return type(graph).FromString(graph.SerializeToString()), weights


def move_to_file(graph: Any, path: Path) -> None:
    """Writes the weights of tf2onnx's graph, and of the bodies of its loops and branches, to a file that it then points at."""
    with path.open("wb") as file:
        for node in _constants(graph):
            tensor = node.get_value_attr().t
            if tensor.data_type == TensorProto.STRING or len(tensor.raw_data) < PAGE_BYTES:
                continue
            stub = written_apart(tensor, path.name, file)
            node._op = NodeProto(name=node.name, op_type=node.type, output=node.output)  # the old one holds a copy
            node.set_attr_onnx(helper.make_attribute("value", stub))


def _constants(graph: Any) -> Iterator[Any]:
    for node in graph.get_nodes():
        if node.is_const():
            yield node
        for body in (node.get_body_graphs() or {}).values():
            yield from _constants(body)
