"""Small rewrites of a converted ONNX graph that change no value: a form that runtimes fuse, names that tell more."""

from __future__ import annotations

import math
import re
from collections import defaultdict

import numpy as np
import onnx
from onnx import numpy_helper

from core.onnxio import walk

# What tf2onnx calls a node that it made: the op and a number.
_MADE_UP = re.compile(r"^[A-Za-z]+__\d+$")


def polish(model: onnx.ModelProto) -> None:
    """Carries out every rewrite, and names every node uniquely."""
    for graph in walk.graphs(model):
        _show_gelu(graph)
        _name_after_weights(graph)
    used = {name for graph in walk.graphs(model) for node in graph.node for name in node.input}
    used |= {info.name for graph in walk.graphs(model) for info in graph.output}
    for graph in walk.graphs(model):
        for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
            graph.initializer.remove(tensor)
    walk.name_nodes(model)


def _show_gelu(graph: onnx.GraphProto) -> None:
    """Gives exact GELU, `0.5 x (1 + erf(x / sqrt(2)))`, the form by which ONNX Runtime knows it.

    That is with a division, and with scalars. tf2onnx is given a product, because it moves transposes past products
    and not past divisions, and in doing so it gives the scalars the rank of `x`.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)

    def scalar(node: onnx.NodeProto, old: float, new: float) -> bool:
        """Whether the node had the constant `old`, now the scalar `new`."""
        for index, name in enumerate(node.input):
            if name in constants and _is_single(constants[name], old):
                value = np.array(new, numpy_helper.to_array(constants[name]).dtype)
                graph.initializer.append(numpy_helper.from_array(value, f"{node.name}/scalar"))
                node.input[index] = f"{node.name}/scalar"
                return True
        return False

    for erf in [node for node in graph.node if node.op_type == "Erf"]:
        scaled, following = makers.get(erf.input[0]), readers[erf.output[0]]
        if scaled is None or scaled.op_type != "Mul" or [node.op_type for node in following] != ["Add"]:
            continue
        plus = following[0]
        if len(readers[scaled.output[0]]) > 1 or not scalar(plus, 1, 1) or not scalar(scaled, math.sqrt(0.5), math.sqrt(2)):
            continue
        scaled.op_type = "Div"
        scaled.input[:] = sorted(scaled.input, key=lambda name: name.endswith("/scalar"))  # what is divided comes first
        for outer in readers[plus.output[0]]:
            for node in (outer, *readers[outer.output[0]], *(makers[name] for name in outer.input if name in makers)):
                if node.op_type == "Mul":
                    scalar(node, 0.5, 0.5)


def _is_single(tensor: onnx.TensorProto, value: float) -> bool:
    if math.prod(tensor.dims) != 1 or tensor.data_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        return False
    return math.isclose(numpy_helper.to_array(tensor).item(), value, rel_tol=1e-6)


def _name_after_weights(graph: onnx.GraphProto) -> None:
    """Names nodes such as `Conv__14` after their weights, which keep their TensorFlow names."""
    weights = {tensor.name for tensor in graph.initializer}
    taken = {node.name for node in graph.node}
    for node in graph.node:
        scope = next((name.rpartition("/")[0] for name in node.input if name in weights and "/" in name), "")
        if scope and _MADE_UP.match(node.name) and (name := f"{scope}/{node.op_type}") not in taken:
            node.name = name
            taken.add(name)
