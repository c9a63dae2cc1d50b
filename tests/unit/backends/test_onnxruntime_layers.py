"""Layers of ONNX Runtime where its profile tells of nodes that it added when it loaded the engine."""

from __future__ import annotations

from onnx import TensorProto, helper

from core.backends.onnxruntime._layers import Seen, engine_graph, mean_times
from core.base.tensors import Signature
from core.graph.source import SourceGraph


def test_nodes_beyond_the_saved_graph_are_in_no_layer() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], "g", ends[:1], ends[1:])
    seen = [
        Seen(index=number, provider="CPUExecutionProvider", inputs=[], outputs=[], times_us=[1000.0 * (number + 1)])
        for number in (0, 5)
    ]
    told = engine_graph(graph, SourceGraph(nodes=()), Signature(name="", inputs=(), outputs=()), seen, ())
    assert [layer.name for layer in told.layers] == ["relu"]
    assert any("added 1 nodes" in note for note in told.notes)
    assert mean_times(graph, seen, runs=1) == {"relu": 1.0}
