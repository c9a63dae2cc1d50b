"""The graph that TensorFlow runs after Grappler and oneDNN had their turn, and its layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.backends.tensorflow._accounting import ExecutedNode, account, base_op
from core.base.dtypes import tensorflow_dtype
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode
from core.graph.tensorflow_source import Naming, in_order

# Ends of a graph, data and ordering: nothing is computed in them.
_NO_WORK = ("_Arg", "_Retval", "_DeviceArg", "_DeviceRetval", "Const", "_HostConst", "NoOp")


def executed_graph(function: Any, tensors: Sequence[Any]) -> list[Any]:
    """The nodes (`NodeDef`) that running this function for the first time executes, in an order they can run in.

    The function must not have run before in this process: TensorFlow hands its graphs out as it makes them.
    """
    from tensorflow.python.eager import context

    eager = context.context()
    eager.enable_run_metadata()
    eager.enable_graph_collection()
    try:
        function(*tensors)
        graphs = eager.export_run_metadata().function_graphs
    finally:
        eager.disable_graph_collection()
        eager.disable_run_metadata()
    # Graphs of earlier functions can be among them: ours has our nodes' names, and came last.
    names = {node.name for node in function.graph.as_graph_def().node}
    ours = max(reversed(graphs), key=lambda graph: len(names & {node.name for node in graph.pre_optimization_graph.node}))
    return in_order(node for part in ours.partition_graphs for node in part.node)


def engine_graph(
    source: Sequence[SourceNode],
    nodes: Sequence[Any],
    shapes: Mapping[str, tuple[int, ...]],
    naming: Naming,
    *,
    weights_are_constants: bool,
    device: str,
) -> EngineGraph:
    """Layers of the executed nodes, with the source nodes in each; `shapes` by tensor name."""
    working = [node for node in nodes if node.op not in _NO_WORK]
    found = account(source, [_executed_node(node) for node in working], naming, weights_are_constants=weights_are_constants)
    dtypes = {node.name: _output_dtypes(node) for node in nodes}

    def tensor(name: str) -> LayerTensor:
        node, _, index = name.removesuffix(":0").partition(":")
        position, known = int(index or 0), dtypes.get(node, [])
        dtype = known[position] if position < len(known) else None
        return LayerTensor(name=f"{naming(node)}:{index}" if index else naming(node), dtype=dtype, shape=shapes.get(name))

    layers = tuple(
        Layer(
            name=naming(node.name),
            kind=node.op,
            kernel="oneDNN" if node.op.startswith("_Mkl") else None,
            precision=next(iter(dtypes[node.name]), None),
            inputs=tuple(tensor(name) for name in data_inputs(node)),
            outputs=tuple(tensor(f"{node.name}:{index}" if index else node.name) for index in range(len(dtypes[node.name]))),
            source_nodes=tuple(naming(name) for name in found.carried[node.name]),
            attributes=_attributes(node),
        )
        for node in working
    )
    return EngineGraph(
        layers=layers,
        source_nodes=tuple(short_source(source, naming)),
        loose_nodes=tuple(replace(node, name=naming(node.name)) for node in found.loose),
        notes=(f"What TensorFlow executed on {device} at the profile's opt shapes; constants are no layers.",),
    )


def short_source(source: Iterable[SourceNode], naming: Naming) -> Iterable[SourceNode]:
    """The source nodes under their short names."""
    for node in source:
        inputs = tuple(naming(name) for name in node.inputs)
        outputs = tuple(naming(name) for name in node.outputs)
        yield SourceNode(name=naming(node.name), op=node.op, inputs=inputs, outputs=outputs, own=node.own)


def _executed_node(node: Any) -> ExecutedNode:
    composed = tuple(op.decode() for op in node.attr["op_names"].list.s) if node.op == "_UnaryOpsComposition" else ()
    inputs = tuple(name.partition(":")[0] for name in data_inputs(node))
    return ExecutedNode(name=node.name, op=node.op, inputs=inputs, composed=composed)


def _attributes(node: Any) -> dict[str, str]:
    attributes = {"device": node.device.rpartition("/device:")[2]} if node.device else {}
    if fused := [op.decode() for op in node.attr["fused_ops"].list.s]:
        attributes["fused_ops"] = ", ".join(fused)
    if base_op(node.op) != node.op:
        attributes["operation"] = base_op(node.op)
    return attributes


def data_inputs(node: Any) -> list[str]:
    """Names of the tensors a node reads, without those that only order it after others."""
    return [tensor for tensor in node.input if not tensor.startswith("^")]


def _output_dtypes(node: Any) -> list[str]:
    """Element types of a node's outputs, as far as its op's definition tells."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(node.op)
    dtypes: list[str] = []
    for output in definition.output_arg if definition else ():
        if output.type_list_attr:
            types = list(node.attr[output.type_list_attr].list.type)
        else:
            count = node.attr[output.number_attr].i if output.number_attr else 1
            types = [output.type or node.attr[output.type_attr].type] * count
        dtypes += [tensorflow_dtype(enum) if enum else "" for enum in types]
    return dtypes
