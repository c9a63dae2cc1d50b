"""Shows what real FP16, BF16 and FP8 arithmetic does to a model, on a CPU whose runtime hides it.

ONNX Runtime computes FP16 ops in FP32 on the CPU, so a sum of 70,000 passes through unharmed where a GPU makes it infinite.
Here every tensor that would be narrow is rounded to the narrow type, by casts there and back in an FP32 graph.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from core.onnxio.walk import captured
from core.precision.element_types import round_array
from core.precision.float_plan import FloatPlan
from core.precision.view import GraphView

_SUFFIX = "__exact"


def emulate(model: onnx.ModelProto, decided: FloatPlan) -> onnx.ModelProto:
    """The FP32 model with every tensor of the plan rounded, in place; run it with `Runner(..., exact=True)`.

    Tensor names stay: a name stands for the rounded values. Sums inside one op are taken in FP32, as tensor cores do.

    Args:
        model: The FP32 model that the plan was made for.
        decided: What would be converted.
    """
    graph = model.graph
    view = GraphView(model)
    read = {node.input[i] for node in graph.node if node.name in decided.low for i in decided.low[node.name][0]}
    made = {node.output[i] for node in graph.node if node.name in decided.low for i in decided.low[node.name][1]}
    for tensor in graph.initializer:
        if tensor.name in read and not _read_wide(tensor.name, view, decided):
            rounded = round_array(numpy_helper.to_array(tensor), decided.to)
            tensor.CopyFrom(numpy_helper.from_array(rounded.astype(np.float32), tensor.name))
    nodes = [cast for name in view.inputs if name in read for cast in _rounding(name, f"{name}_rounded", decided.to)]
    for node in graph.node:
        ins = decided.low.get(node.name, (frozenset[int](), frozenset[int]()))[0]
        for i in ins:
            if node.input[i] not in view.constants and node.input[i] not in made:
                node.input[i] = f"{node.input[i]}_rounded"
        nodes.append(node)
        for i, name in enumerate(list(node.output)):
            if name in made:
                node.output[i] = name + _SUFFIX
                nodes += _rounding(name + _SUFFIX, name, decided.to)
            elif name in read:
                nodes += _rounding(name, f"{name}_rounded", decided.to)
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return model


def _rounding(source: str, target: str, to: int) -> list[NodeProto]:
    narrow = f"{target}__narrow"
    return [
        helper.make_node("Cast", [source], [narrow], name=narrow, to=to),
        helper.make_node("Cast", [narrow], [target], name=f"{target}__wide", to=TensorProto.FLOAT),
    ]


def _read_wide(name: str, view: GraphView, decided: FloatPlan) -> bool:
    """Whether a node that stays FP32 reads the constant too."""
    return any(
        name in captured(node)
        or node.name not in decided.low
        or any(n == name and i not in decided.low[node.name][0] for i, n in enumerate(node.input))
        for node in view.consumers.get(name, [])
    )
