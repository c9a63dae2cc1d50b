"""An ONNX graph as engine graphs need it: its nodes, who makes which value, and what is constant."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.graph.engine_graph import SourceNode


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSource:
    """The main graph of an ONNX model, without its weights.

    Attributes:
        nodes: In the file's order; a node without a name is called `node_of_<its first output>`, as TensorRT's parser does.
        constants: Names of the initializers.
        inputs: Names of the graph's inputs.
        outputs: Names of the graph's outputs.
        inner_nodes: How many nodes lie in the bodies of If, Loop and Scan.
        dtypes: Element types of values, where the file tells ("float16").
    """

    nodes: tuple[SourceNode, ...]
    constants: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    inner_nodes: int = 0
    dtypes: dict[str, str] = field(default_factory=dict)

    @property
    def producers(self) -> dict[str, SourceNode]:
        """The node that makes each value."""
        return {output: node for node in self.nodes for output in node.outputs if output}


def read_onnx_source(path: Path) -> OnnxSource:
    """Reads a model's graph; its external weights stay unread.

    Raises:
        BrokenModel: It is no ONNX model.
    """
    from core.onnxfile import dtype_name, nodes, read_onnx

    model = read_onnx(path, weights=False)
    graph = model.graph
    constants = tuple(tensor.name for tensor in graph.initializer)
    values = (*graph.input, *graph.value_info, *graph.output)
    return OnnxSource(
        nodes=tuple(
            SourceNode(
                name=node.name or f"node_of_{next(iter(node.output), '')}",
                op=node.op_type,
                inputs=tuple(node.input),
                outputs=tuple(node.output),
            )
            for node in graph.node
        ),
        constants=constants,
        inputs=tuple(value.name for value in graph.input if value.name not in set(constants)),
        outputs=tuple(value.name for value in graph.output),
        inner_nodes=sum(1 for _ in nodes(model)) - len(graph.node),
        dtypes={value.name: dtype_name(value.type.tensor_type.elem_type) for value in values},
    )
