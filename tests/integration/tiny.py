"""A tiny ONNX classifier that every runtime builds in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_tiny_onnx(path: Path, *, named: bool = True, seed: int = 0) -> Path:
    """Conv, Relu, pooling, Gemm and Softmax over [batch, 3, 8, 8]."""
    rng = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "w"], ["conv"], name="conv" if named else "", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu" if named else ""),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"], name="pool" if named else ""),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat" if named else ""),
        helper.make_node("Gemm", ["flat", "m"], ["logits"], name="dense" if named else ""),
        helper.make_node("Softmax", ["logits"], ["scores"], name="softmax" if named else ""),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 5])],
        [weight("w", 4, 3, 3, 3), weight("m", 4, 5)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
