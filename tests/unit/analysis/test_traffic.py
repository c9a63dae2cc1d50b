"""Bytes that layers read and write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.analysis.traffic import Moved, Traffic, weight_bytes
from core.base.units import NOT_TOLD
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor
from tests.unit.analysis.engines import inspected, listed


def tensor(name: str, *lengths: int | None, dtype: str | None = "float16") -> LayerTensor:
    open_ = None in lengths
    shape = None if open_ else tuple(length for length in lengths if length is not None)
    return LayerTensor(name=name, dtype=dtype, shape=shape, lengths=lengths if open_ else None)


def graph(*layers: Layer) -> EngineGraph:
    return EngineGraph(layers=layers, source_nodes=())


def layer(*tensors: LayerTensor, kind: str = "gemm") -> Layer:
    return Layer(name=f"{kind} {tensors}", kind=kind, inputs=tensors[:1], outputs=tensors[1:])


def test_a_tensor_counts_for_each_layer_that_touches_it() -> None:
    a, b, c = tensor("a", 2, 3), tensor("b", 4, dtype="int8"), tensor("c", 5, dtype="float32")
    assert Traffic(graph(layer(a, b), layer(b, c))).total == Moved(bytes=12 + 4 + 4 + 20, tensors=4)


@pytest.mark.parametrize("kind", ["NoOp", "Constant", "signal", "wait", "shape_call", "allocate", "deallocate", "cjmp"])
def test_what_moves_nothing_is_left_out(kind: str) -> None:
    found = Traffic(graph(layer(tensor("a", 8), tensor("b", 8), kind=kind)))
    assert (found.total, found.layers) == (Moved(), ())


def test_an_open_length_is_not_told() -> None:
    """Of [batch, 64, 4] laid in rows, [-1, 4], the one length is 64 times the batch: nothing here tells which it is."""
    total = Traffic(graph(layer(tensor("a", None, 64, 4), tensor("b", None, 4)))).total
    assert total == Moved(untold=2)
    assert (total.known, total.text) == (None, NOT_TOLD)


def test_where_its_usual_value_is_known_that_counts_and_is_said() -> None:
    total = Traffic(graph(layer(replace(tensor("a", None, 3), shape=(2, 3)), tensor("b", 4)))).total
    assert total == Moved(bytes=12 + 8, tensors=2, open=True)
    assert total.text == "20 B"


def test_what_is_not_told_is_never_zero() -> None:
    total = Traffic(graph(layer(tensor("a", 4, dtype=None), LayerTensor(name="b", dtype="int8"), tensor("c", 3)))).total
    assert (total.bytes, total.untold, total.known) == (6, 2, 6)
    assert total.text == "6 B and 2 tensors whose size is not told"
    assert Traffic(graph(layer(tensor("a", 4, dtype=None)))).total.known is None
    assert Traffic(graph()).total.known == 0


def test_four_bits_are_half_a_byte() -> None:
    assert Traffic(graph(layer(tensor("a", 5, dtype="int4")))).total.bytes == 3


def test_constants_of_layers_that_tell_none_are_not_told() -> None:
    told = Layer(name="a", kind="gemm", weight_bytes=3)
    assert weight_bytes([told, Layer(name="b", kind="gemm"), told]) == 6
    assert weight_bytes([Layer(name="b", kind="gemm")]) is None


def test_a_real_convolution_of_the_builders_list() -> None:
    """ResNet-50's first: an image of 4 x 224 x 224 in INT8 to 64 x 112 x 112 in FP32, for one picture."""
    engine = listed("resnet50-int8")
    first = next(layer for layer in engine.layers if layer.kind == "correlation")
    assert Traffic(engine).of([first]) == Moved(bytes=4 * 224 * 224 + 4 * 64 * 112 * 112, tensors=2, open=True)


def test_real_engines_of_the_same_network() -> None:
    """TensorRT 8.5 on an H100 wrote INT8 between convolutions, so it moved well under a third of TensorRT-RTX's list."""
    fused = Traffic(inspected("tensorrt-8.5.3.1-h100/sample-resnet50-int8")).total
    apart = Traffic(listed("resnet50-int8")).total
    assert (fused.bytes, fused.open) == (31_090_912, False)
    assert (apart.bytes, apart.open) == (109_754_688, True)
    assert Traffic(listed("resnet50-int8", open_length=None)).total.known is None
    assert Traffic(listed("bert-fp16")).total.known is None
