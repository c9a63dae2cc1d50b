"""Tiny networks for the precision tests: `make_network(...)` gives a model built from ONNX's own text form and seeded weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

Make = Callable[..., onnx.ModelProto]


def build(
    body: str, *, inputs: str, outputs: str, weights: dict[str, np.ndarray] | None = None, opset: int = 17
) -> onnx.ModelProto:
    """A model from statements such as `y = Relu(x)`; float64 weights become FP32."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> main ({inputs}) => ({outputs}) {{ {body} }}'
    model = parser.parse_model(text)
    for name, array in (weights or {}).items():
        narrow = array.astype(np.float32) if array.dtype == np.float64 else array
        model.graph.initializer.append(numpy_helper.from_array(narrow, name))
    for node in model.graph.node:
        node.name = f"{node.op_type}_{node.output[0]}"
    return model


def residual_network(opset: int = 17) -> onnx.ModelProto:
    """Conv-BN-ReLU, a residual block whose shortcut is projected, one whose shortcut is not, pooling and a classifier."""
    rng = np.random.default_rng(3)
    body = """
        c0 = Conv <pads = [1,1,1,1]> (image, w0, b0)
        n0 = BatchNormalization (c0, scale, offset, mean, variance)
        r0 = Relu (n0)
        c1 = Conv <pads = [1,1,1,1]> (r0, w1)
        r1 = Relu (c1)
        c2 = Conv <pads = [1,1,1,1]> (r1, w2)
        s0 = Conv (r0, w3)
        a0 = Add (s0, c2)
        r2 = Relu (a0)
        c3 = Conv <pads = [1,1,1,1]> (r2, w2)
        a1 = Add (c3, r2)
        r3 = Relu (a1)
        p = GlobalAveragePool (r3)
        f = Flatten (p)
        logits = Gemm <transB = 1> (f, w4, b4)
    """
    weights = {
        "w0": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "b0": rng.normal(0, 0.1, 8),
        "scale": rng.uniform(0.5, 1.5, 8),
        "offset": rng.normal(0, 0.1, 8),
        "mean": rng.normal(0, 0.1, 8),
        "variance": rng.uniform(0.5, 1.5, 8),
        "w1": rng.normal(0, 0.12, (8, 8, 3, 3)),
        "w2": rng.normal(0, 0.12, (8, 8, 3, 3)),
        "w3": rng.normal(0, 0.3, (8, 8, 1, 1)),
        "w4": rng.normal(0, 0.3, (5, 8)),
        "b4": rng.normal(0, 0.1, 5),
    }
    inputs, outputs = "float[batch,3,8,8] image", "float[batch,5] logits"
    return build(body, inputs=inputs, outputs=outputs, weights=weights, opset=opset)


def overflowing_network() -> onnx.ModelProto:
    """Correct in FP32 and zero in FP16: a norm over 256 values of about 30 has a sum of squares beyond 65504."""
    rng = np.random.default_rng(5)
    body = """
        h = MatMul (x, w)
        squared = Mul (h, h)
        total = ReduceSum <keepdims = 1> (squared, axes)
        norm = Sqrt (total)
        unit = Div (h, norm)
        y = MatMul (unit, v)
    """
    weights = {"w": rng.normal(0, 5, (32, 256)), "v": rng.normal(0, 1, (256, 4)), "axes": np.array([1])}
    return build(body, inputs="float[batch,32] x", outputs="float[batch,4] y", weights=weights)


@pytest.fixture
def make_network() -> Make:
    return build


@pytest.fixture
def residual() -> onnx.ModelProto:
    return residual_network()


@pytest.fixture
def overflowing() -> onnx.ModelProto:
    return overflowing_network()
