"""Small ONNX models whose answers one can see: what runtimes take of them, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
CUSTOM = "my.ops"
ODD_NAMES = ("a[1]", "b, c", "d\"q'", "two\nlines", "p | q", "x" * 4_000)


def info(name: str, kind: int = FLOAT, shape: Sequence[int | str | None] | None = (2, 2)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model from x to y, both float32 [2, 2] unless given."""
    stored = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    given, wanted = [info("x")] if inputs is None else inputs, [info("y")] if outputs is None else outputs
    graph = helper.make_graph(list(nodes), "g", list(given), list(wanted), stored)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(CUSTOM, 1)])
    made.ir_version = 8
    return made


def node(op: str, reads: str, makes: str, name: str = "", **attributes: object) -> onnx.NodeProto:
    """Tensors are written one after the other: `node("Add", "a b", "c")`."""
    return helper.make_node(op, reads.split(" "), makes.split(" "), name=name or f"{op.lower()}_{makes}", **attributes)


def saved(path: Path, made: onnx.ModelProto) -> Source:
    """Of the file that it is written to."""
    onnx.save(made, path)
    return Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path, weights=False)))


def taken() -> onnx.ModelProto:
    """Relu and Sigmoid, which every runtime has."""
    return model([node("Relu", "x", "a"), node("Sigmoid", "a", "y")])


def custom_between() -> onnx.ModelProto:
    """An op of a domain that no runtime knows between two that all know."""
    return model(
        [node("Relu", "x", "a", "before"), node("Fancy", "a", "b", "odd one", domain=CUSTOM), node("Sigmoid", "b", "y", "after")]
    )


def non_zero() -> onnx.ModelProto:
    """NonZero, for which TensorRT-RTX wants a plugin that its package lacks, between what it takes."""
    nodes = [node("Relu", "x", "a", "before"), node("NonZero", "a", "b", "nz"), node("Cast", "b", "c", "cast", to=FLOAT)]
    return model([*nodes, node("Sigmoid", "c", "y", "after")], outputs=[info("y", shape=[2, None])])


def suppression() -> onnx.ModelProto:
    """NonMaxSuppression, which TensorRT-RTX reads and does not build, over two boxes."""
    nodes = [node("Relu", "boxes", "b", "relu"), node("NonMaxSuppression", "b scores most", "y", "nms")]
    inputs = [info("boxes", shape=[1, 10, 4]), info("scores", shape=[1, 2, 10])]
    return model(nodes, inputs, [info("y", INT64, [None, 3])], {"most": np.array([3], np.int64)})


def text() -> onnx.ModelProto:
    """Text in and out, split and joined."""
    text_in, text_out = info("x", TensorProto.STRING, [3]), info("y", TensorProto.STRING, [3])
    return model([node("StringConcat", "x x", "y", "joined")], [text_in], [text_out], opset=20)


def small_integers() -> onnx.ModelProto:
    """uint16, which TensorRT-RTX takes nowhere, cast to float32 before anything else."""
    nodes = [node("Add", "x x", "a", "sum16"), node("Cast", "a", "b", "cast", to=FLOAT), node("Relu", "b", "y", "relu")]
    return model(nodes, [info("x", TensorProto.UINT16)])


def double_convolution() -> onnx.ModelProto:
    """A convolution in float64, for which ONNX Runtime's CPU provider has no kernel, between what it takes."""
    double = TensorProto.DOUBLE
    nodes = [node("Relu", "x", "a", "before"), node("Conv", "a w", "b", "conv"), node("Neg", "b", "y", "after")]
    inputs, outputs = [info("x", double, [1, 1, 4, 4])], [info("y", double, [1, 1, 2, 2])]
    return model(nodes, inputs, outputs, {"w": np.ones((1, 1, 3, 3))})


def branches() -> onnx.ModelProto:
    """An If with NonZero in one branch, in a node of its own name."""
    then = helper.make_graph([node("Relu", "x", "t", "inside then")], "then", [], [info("t", shape=[2])])
    steps = [
        node("NonZero", "x", "z", "inside else"),
        node("Cast", "z", "f", "cast", to=FLOAT),
        node("ReduceSum", "f", "s", "sum", keepdims=0),
    ]
    otherwise = helper.make_graph([*steps, node("Add", "x s", "e", "add")], "else", [], [info("e", shape=[2])])
    nodes = [node("If", "c", "o", "the if", then_branch=then, else_branch=otherwise), node("Relu", "o", "y", "after")]
    return model(nodes, [info("c", BOOL, []), info("x", shape=[2])], [info("y", shape=[2])])


def loop() -> onnx.ModelProto:
    """Adds x a given number of times."""
    body = helper.make_graph(
        [node("Add", "sum x", "more", "inside"), node("Identity", "on", "still", "condition")],
        "body",
        [info("i", INT64, []), info("on", BOOL, []), info("sum", shape=[2])],
        [info("still", BOOL, []), info("more", shape=[2])],
    )
    nodes = [node("Relu", "x", "r", "before"), helper.make_node("Loop", ["n", "", "r"], ["y"], name="the loop", body=body)]
    return model(nodes, [info("n", INT64, []), info("x", shape=[2])], [info("y", shape=[2])])


def odd_names() -> onnx.ModelProto:
    """A chain whose nodes have the names of ODD_NAMES, the fifth a NonZero."""
    ops = ("Relu", "Sigmoid", "Relu", "Sigmoid", "NonZero", "Sigmoid")
    nodes, last = [], "x"
    for place, (op, name) in enumerate(zip(ops, ODD_NAMES, strict=True)):
        nodes.append(helper.make_node(op, [last], [f"t{place}"], name=name))
        last = f"t{place}"
        if op == "NonZero":
            nodes.append(node("Cast", last, "cast", "cast", to=FLOAT))
            last = "cast"
    return model(nodes, outputs=[info(last, shape=[2, None])])


def weighted() -> onnx.ModelProto:
    """A MatMul with a weight that goes to a file of its own, then an op that no runtime knows."""
    weight = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    nodes = [
        node("MatMul", "x w", "a", "matmul"),
        node("Fancy", "a", "b", "odd one", domain=CUSTOM),
        node("Relu", "b", "y", "after"),
    ]
    return model(nodes, [info("x", shape=["n", 64])], [info("y", shape=["n", 64])], {"w": weight})
