"""The type of every tensor of an ONNX graph, as far as the graph itself tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import TypeProto, helper

from core.onnxio.walk import opset

_ROUNDS = 50  # each carries types one node further against the flow, where shape inference cannot


def tensor_types(model: onnx.ModelProto) -> dict[str, TypeProto]:
    """Types of the main graph's tensors by name, with their shape where that is known.

    By ONNX's own inference; where that ends, at an op it does not know, from what the ops around say of their inputs and
    outputs ("of the same type"), which gives no shape. A tensor of which nothing is told is left out.

    Args:
        model: Its weights need not be there; what they are is told by their names' entries.
    """
    graph = _inferred(model).graph
    found = {info.name: info.type for info in (*graph.value_info, *graph.input, *graph.output) if _tells(info.type)}
    for tensor in graph.initializer:
        found[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    for sparse in graph.sparse_initializer:
        found[sparse.values.name] = helper.make_tensor_type_proto(sparse.values.data_type, sparse.dims)
    _spread(model, found)
    return found


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # of an operator that contradicts its own inputs: what the file tells is left
        return model


def _tells(kind: TypeProto) -> bool:
    is_tensor = kind.WhichOneof("value") == "tensor_type"
    return kind.tensor_type.elem_type != onnx.TensorProto.UNDEFINED if is_tensor else kind.WhichOneof("value") is not None


def _spread(model: onnx.ModelProto, found: dict[str, TypeProto]) -> None:
    """Adds the element types of tensors that share a type variable of some node with one whose type is known."""
    version = opset(model) or 1
    unknown = [node for node in model.graph.node if any(name and name not in found for name in (*node.input, *node.output))]
    for _ in range(_ROUNDS):
        before = len(found)
        for node in unknown:
            for same in _alike(node, version):
                known = next((found[name] for name in same if name in found), None)
                if known is None or known.WhichOneof("value") != "tensor_type":
                    continue
                for name in same:
                    if name not in found:
                        found[name] = helper.make_tensor_type_proto(known.tensor_type.elem_type, None)
        if len(found) == before:
            return


def _alike(node: onnx.NodeProto, version: int) -> Iterator[list[str]]:
    """Names of the node's inputs and outputs that have one element type, by its schema."""
    if not onnx.defs.has(node.op_type, node.domain):
        return
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return
    groups: dict[str, list[str]] = {}
    variables = {constraint.type_param_str for constraint in schema.type_constraints}
    for names, formals in ((node.input, schema.inputs), (node.output, schema.outputs)):
        for name, formal in zip(names, _stretched(formals, len(names)), strict=False):
            if name and formal.type_str in variables and _is_uniform(formal):
                groups.setdefault(formal.type_str, []).append(name)
    yield from groups.values()


def _stretched(formals: Iterable[onnx.defs.OpSchema.FormalParameter], count: int) -> list[onnx.defs.OpSchema.FormalParameter]:
    """One for each of so many: the last may stand for any number."""
    listed = list(formals)
    return listed + listed[-1:] * (count - len(listed))


def _is_uniform(formal: onnx.defs.OpSchema.FormalParameter) -> bool:
    variadic = formal.option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    return not variadic or bool(formal.is_homogeneous)
