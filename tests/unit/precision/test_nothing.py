"""Graphs in which a precision finds nothing: refused or noted with what is the case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from core.base.errors import ConversionFailed
from core.base.precision import Precision
from core.onnxio.file import read_onnx, save_onnx
from core.precision.prepare import prepare
from core.precision.record import PrecisionRecord
from core.precision.settings import parse_settings
from core.precision.target import parse_target

from .conftest import Make

RNG = np.random.default_rng(0)
TARGETS = ("onnxruntime", "openvino", "tensorrt", "tensorrt-8.6")


def prepared(model: onnx.ModelProto, folder: Path, precision: Precision, target: str, *settings: str) -> PrecisionRecord:
    save_onnx(model, folder / "source.onnx")
    out = folder / f"{precision.value}-{target}"
    out.mkdir(exist_ok=True)
    how = parse_settings(settings)
    return prepare(folder / "source.onnx", out, precision, target=parse_target(target), settings=how)


def typed(make_network: Make, kind: str, dtype: type) -> onnx.ModelProto:
    """A product and what follows, all of one type."""
    weights = {"w": RNG.normal(size=(4, 3)).astype(dtype)}
    model = make_network("a = MatMul (x, w) y = Exp (a)", inputs=f"{kind}[N,4] x", outputs=f"{kind}[N,3] y", weights={})
    model.graph.initializer.extend([onnx.numpy_helper.from_array(value, name) for name, value in weights.items()])
    return model


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_int8_of_another_float_says_which(make_network: Make, kind: str, dtype: type, target: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionFailed, match=f"quantized to INT8: it computes in {np.dtype(dtype).name}") as caught:
        prepared(typed(make_network, kind, dtype), tmp_path, Precision.INT8, target)
    assert caught.value.hint == "Export it in FP32."


@pytest.mark.parametrize("target", TARGETS)
def test_int8_without_weights_says_which_nodes_have_none(make_network: Make, target: str, tmp_path: Path) -> None:
    attention = make_network(
        "s = MatMul (q, k) p = Softmax (s) y = MatMul (p, v)",
        inputs="float[B,4,8] q, float[B,8,4] k, float[B,4,8] v",
        outputs="float[B,4,8] y",
    )
    with pytest.raises(ConversionFailed, match="MatMul_s, MatMul_y: neither operand is a constant"):
        prepared(attention, tmp_path, Precision.INT8, target)
    pooled = make_network("a = Relu (x) y = Sigmoid (a)", inputs="float[B,4] x", outputs="float[B,4] y")
    with pytest.raises(ConversionFailed, match="Gemm and MatMul with weights, and it consists of Relu, Sigmoid"):
        prepared(pooled, tmp_path, Precision.INT8, target)


def test_int8_of_weights_within_branches_says_where_they_are(make_network: Make, tmp_path: Path) -> None:
    branches = [
        make_network(f"{out} = MatMul (x, {out}w)", inputs="float[2,4] x", outputs=f"float[2,3] {out}", weights={}).graph
        for out in ("a", "b")
    ]
    for branch in branches:
        del branch.input[:]
        name = f"{branch.output[0].name}w"
        branch.initializer.append(onnx.numpy_helper.from_array(RNG.normal(size=(4, 3)).astype(np.float32), name))
    choice = onnx.helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branches[0], else_branch=branches[1])
    model = make_network("y = MatMul (x, w)", inputs="float[2,4] x, bool c", outputs="float[2,3] y", weights={})
    model.graph.node[0].CopyFrom(choice)
    with pytest.raises(
        ConversionFailed, match="to INT8: there are 2 MatMul within If choice, and what nodes hold within"
    ) as caught:
        prepared(model, tmp_path, Precision.INT8, "onnxruntime")
    assert caught.value.hint == "Build it in another precision."


def test_int8_of_a_quantized_graph_says_so(make_network: Make, tmp_path: Path) -> None:
    weights = {"w": RNG.integers(-100, 100, (4, 3)).astype(np.int8), "s": np.float64(0.1) * np.ones(()), "z": np.int8(0)}
    model = make_network(
        "f = DequantizeLinear (w, s, z) y = MatMul (x, f)", inputs="float[N,4] x", outputs="float[N,3] y", weights=weights
    )
    with pytest.raises(ConversionFailed, match="it is quantized already"):
        prepared(model, tmp_path, Precision.INT8, "onnxruntime")


def test_nodes_that_are_kept_by_wish_are_no_reason_to_refuse(residual: onnx.ModelProto, tmp_path: Path) -> None:
    record = prepared(residual, tmp_path, Precision.INT8, "onnxruntime", "keep_ops=Conv,Gemm")
    assert not record.converted


@pytest.mark.parametrize(
    ("precision", "kind", "dtype", "note"),
    [
        (Precision.FP16, "float16", np.float16, "The graph came in FP16 already, and is as it was."),
        (Precision.FP16, "double", np.float64, "The graph computes in float64 and not in FP32, whose place FP16 takes"),
        (Precision.BF16, "float16", np.float16, "The graph computes in float16 and not in FP32, whose place BF16 takes"),
    ],
)
def test_what_is_as_it_was_is_called_so(
    make_network: Make, precision: Precision, kind: str, dtype: type, note: str, tmp_path: Path
) -> None:
    record = prepared(typed(make_network, kind, dtype), tmp_path, precision, "openvino")
    assert len(record.notes) == 1
    assert record.notes[0].startswith(note)
    made = read_onnx(tmp_path / f"{precision.value}-openvino" / record.entry)
    assert [node.op_type for node in made.graph.node] == ["MatMul", "Exp"]
