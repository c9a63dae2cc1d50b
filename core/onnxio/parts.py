"""Parts of an ONNX graph as models of their own: one node with what it reads, or all but some nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import onnx
from onnx import TypeProto, ValueInfoProto

from core.onnxio.walk import captured, nodes

Types = Mapping[str, TypeProto]


def reads(node: onnx.NodeProto) -> list[str]:
    """Names of all that a node reads, what its subgraphs take from outside among it."""
    return list(dict.fromkeys(name for name in (*node.input, *captured(node)) if name))


class Alone:
    """Makes models of some nodes of a graph, which take as inputs what other nodes make.

    Args:
        model: The whole.
        types: Of its tensors, see `tensor_types`.
        holds: Whether a constant goes along; else it becomes an input too.
    """

    def __init__(
        self, model: onnx.ModelProto, types: Types, holds: Callable[[onnx.TensorProto], bool] = lambda tensor: True
    ) -> None:
        self._model = model
        self._types = types
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer if holds(tensor)}
        self._sparse = {tensor.values.name: tensor for tensor in model.graph.sparse_initializer if holds(tensor.values)}
        self._constants = {
            name: node
            for node in model.graph.node
            if node.op_type == "Constant" and all(holds(item.t) for item in node.attribute if item.HasField("t"))
            for name in node.output
        }
        self._feeds = {info.name: info for info in model.graph.input}

    def model_of(self, chosen: Iterable[onnx.NodeProto]) -> onnx.ModelProto:
        """The model of these nodes, in the order of the graph; its outputs are all of theirs that none of them reads."""
        picked = list(chosen)
        own = {name for node in picked for name in node.output}
        wanted = list(dict.fromkeys(name for node in picked for name in reads(node) if name not in own))
        constants = [self._constants[name] for name in wanted if name in self._constants]
        made = _shell(self._model)
        made.graph.node.extend([*{id(node): node for node in constants}.values(), *picked])
        made.graph.initializer.extend(self._stored[name] for name in wanted if name in self._stored)
        made.graph.sparse_initializer.extend(self._sparse[name] for name in wanted if name in self._sparse)
        held = {*self._constants, *self._stored, *self._sparse}
        made.graph.input.extend(self._info(name) for name in wanted if name not in held)
        used = {name for node in picked for name in reads(node)}
        ends = [name for node in picked for name in node.output if name and name not in used]
        made.graph.output.extend(self._info(name) for name in ends or [name for name in own if name])
        _keep_functions(self._model, made)
        return made

    def _info(self, name: str) -> ValueInfoProto:
        return described(name, self._types, self._feeds.get(name))


def described(name: str, types: Types, known: ValueInfoProto | None = None) -> ValueInfoProto:
    """A tensor as an input or output; of the undefined type where nothing tells it."""
    kind = types.get(name) or (known.type if known else None)
    if kind is None:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None)
    return ValueInfoProto(name=name, type=kind)


def cut_out(model: onnx.ModelProto, gone: Collection[str], types: Types) -> None:
    """Takes nodes out of a model, in place: what the others read of them become inputs, and what they alone read goes too.

    Args:
        gone: Names of nodes of the main graph.
        types: Of its tensors; every tensor that goes between them and the others must be there.
    """
    graph = model.graph
    removed = [node for node in graph.node if node.name in gone]
    was_read = {name for node in removed for name in reads(node)}
    made = {name for node in removed for name in node.output if name}
    _keep(graph.node, lambda node: node.name not in gone)
    still_read = {name for node in graph.node for name in reads(node)}
    outputs = {info.name for info in graph.output}
    unused = was_read - still_read - outputs
    _keep(graph.initializer, lambda tensor: tensor.name not in unused)
    _keep(graph.sparse_initializer, lambda tensor: tensor.values.name not in unused)
    _keep(graph.input, lambda info: info.name not in unused)
    _keep(graph.output, lambda info: info.name not in made)
    graph.input.extend(described(name, types) for name in sorted(made & still_read))
    if not graph.output and graph.node:
        ends = [name for node in graph.node for name in node.output if name and name not in still_read]
        graph.output.extend(described(name, types) for name in ends or [name for name in graph.node[-1].output if name])


def _shell(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of the same versions, with an empty graph."""
    made = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    made.opset_import.extend(model.opset_import)
    made.graph.name = model.graph.name or "part"
    return made


def _keep_functions(whole: onnx.ModelProto, part: onnx.ModelProto) -> None:
    """Gives a part the functions that it calls, in their order."""
    known = {(function.domain, function.name): function for function in whole.functions}
    pending = {(node.domain, node.op_type) for node in nodes(part)} if known else set()
    called = set()
    while pending:
        key = pending.pop()
        if key in known and key not in called:
            called.add(key)
            pending |= {(node.domain, node.op_type) for node in known[key].node}
    part.functions.extend(function for key, function in known.items() if key in called)


def _keep(items: object, wanted: Callable[..., bool]) -> None:
    """Deletes the others from a repeated field, without copying those that stay."""
    for place in range(len(items) - 1, -1, -1):  # type: ignore[arg-type]
        if not wanted(items[place]):  # type: ignore[index]
            del items[place]  # type: ignore[attr-defined]
