"""An ONNX graph as a builder gets it: the file itself, or the same under names that it tells in full."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from core.graph.source import SourceGraph, nodes_of_onnx
from core.onnxio.aliases import NO_ALIASES, Aliases, alias_nodes
from core.onnxio.file import read_onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Attributes:
    path: The file; external data lie beside it.
    source: Its nodes, by the names that people know.
    aliases: Their names for the builder.
    content: What is parsed in place of the file; None where that says the same.
    """

    path: Path
    source: SourceGraph
    aliases: Aliases = NO_ALIASES
    content: bytes | None = None

    def parse_with(self, parser: Any) -> bool:
        """Whether the parser took it."""
        if self.content is None:
            return bool(parser.parse_from_file(str(self.path)))
        return bool(parser.parse(self.content, str(self.path)))

    def bytes(self) -> bytes:
        return self.path.read_bytes() if self.content is None else self.content


def graph_of(path: Path, model: onnx.ModelProto, *, aliased: bool) -> Graph:
    """The graph of a file.

    Args:
        path: The file.
        model: The same without its weights; its unnamed nodes get names.
        aliased: Whether its nodes go to the builder under aliases; else they do under their own names, so that it tells the same.
    """
    before = [node.name for node in model.graph.node]
    source = nodes_of_onnx(model)
    if not aliased and before == [node.name for node in model.graph.node]:
        return Graph(path=path, source=source)
    whole = read_onnx(path, external=False)
    nodes_of_onnx(whole)
    aliases = alias_nodes(whole) if aliased else NO_ALIASES
    return Graph(path=path, source=source, aliases=aliases, content=whole.SerializeToString())


def has_float64(model: onnx.ModelProto) -> bool:
    """Whether a graph is fed, holds or casts to float64 anywhere in its main graph."""
    wide = onnx.TensorProto.DOUBLE
    held = any(tensor.data_type == wide for tensor in model.graph.initializer)
    fed = any(info.type.tensor_type.elem_type == wide for info in model.graph.input)
    return held or fed or any(one.name == "to" and one.i == wide for node in model.graph.node for one in node.attribute)
