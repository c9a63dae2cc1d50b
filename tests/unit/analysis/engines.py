"""Real engines to look into: TensorRT-RTX's as its builder listed them, TensorRT 8's as recorded on an H100."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

from core.backends._tensorrt.build_log import LAYERS, layers_json
from core.backends._tensorrt.inspector import read_inspector
from core.backends._tensorrt.mapping import engine_graph
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode
from core.graph.source import SourceGraph

GOLDEN = Path(__file__).parents[2] / "golden/tensorrt"
_MESSAGE = re.compile(r"\n(?=(?:VERBOSE|INFO|WARNING|ERROR) )")


def listed(name: str, *, open_length: int | None = 1) -> EngineGraph:
    """TensorRT-RTX's own list; its nodes are those that the list names, without edges.

    Args:
        open_length: Of tensors with one open length, which is the batch in these networks but for BERT; None leaves them open.
    """
    log = gzip.decompress((GOLDEN / f"tensorrt-rtx-1.7.1-no-gpu/{name}.log.gz").read_bytes()).decode()
    told = next(text for message in _MESSAGE.split(log) if (text := message.partition(" ")[2]).startswith(LAYERS))
    engine = read_inspector(layers_json(told))
    names = dict.fromkeys(node for layer in engine.layers for node in layer.onnx_nodes)
    nodes = tuple(SourceNode(name=node, op=_op(node)) for node in names)
    graph = engine_graph(engine, SourceGraph(nodes=nodes, constants=(), outputs=()))
    return graph if open_length is None or name.startswith("bert") else _at(graph, open_length)


def _at(graph: EngineGraph, length: int) -> EngineGraph:
    def told(tensor: LayerTensor) -> LayerTensor:
        return (
            replace(tensor, shape=tuple(length if one is None else one for one in tensor.lengths)) if tensor.lengths else tensor
        )

    def layer(one: Layer) -> Layer:
        return replace(one, inputs=tuple(map(told, one.inputs)), outputs=tuple(map(told, one.outputs)))

    return replace(graph, layers=tuple(map(layer, graph.layers)))


def inspected(path: str) -> EngineGraph:
    """TensorRT 8's inspector, joined with the ONNX graph where that was recorded too."""
    told = GOLDEN / f"{path}.inspector.json"
    recorded = told.with_name(f"{told.name.removesuffix('.inspector.json')}.nodes.json")
    nodes: list[SourceNode] = []
    data = json.loads(recorded.read_text(encoding="utf-8")) if recorded.exists() else {}
    if data:
        nodes = [SourceNode(name=n, op=op, inputs=tuple(i), outputs=tuple(o)) for n, op, i, o in data["nodes"]]
    source = SourceGraph(nodes=tuple(nodes), constants=tuple(data.get("constants", ())), outputs=tuple(data.get("outputs", ())))
    return engine_graph(read_inspector(told.read_text(encoding="utf-8")), source)


def _op(node: str) -> str:
    return re.split(r"[/_:]", node)[-1] or node
