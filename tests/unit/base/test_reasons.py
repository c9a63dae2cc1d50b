"""What libraries say when they fail, down to the reason."""

from __future__ import annotations

import pytest

from core.base.reasons import plain_reason, shortened, without_places

TEMPLATE = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Where node. Name:'where' Status "
    "Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:540 void onnxruntime::BroadcastIterator::"
    "Init(ptrdiff_t, ptrdiff_t, std::function<void(gsl::span<const T>, (anonymous namespace)::Kind)>) [with T = std::array<int, "
    "(3)[2]>; U = float] axis == 1 || axis == largest was false. Attempting to broadcast by a dimension other than 1. 3 by 4"
)
LAMBDA = (
    "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/onnxruntime/core/graph/graph.cc:12 onnxruntime::Graph::Check(const int&)::"
    "<lambda(const onnxruntime::Node&)>::operator()(const onnxruntime::Node&) const Node is missing (0)."
)
WHERE = (
    "Non-zero status code returned while running Where node. Name:'where' Status Message: axis == 1 || axis == largest was "
    "false. Attempting to broadcast by a dimension other than 1. 3 by 4"
)
UNKNOWN = "Could not find an implementation for Foo(1)"
PLAIN = "The shape (3, 4) is none. It has one axis."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (TEMPLATE, WHERE),
        (LAMBDA, "Node is missing (0)."),
        (f"/src/onnx/defs/schema.cc:8 {PLAIN}", PLAIN),
        (f"[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : {UNKNOWN}", UNKNOWN),
        ("", ""),
    ],
)
def test_neither_codes_nor_signatures_are_the_reason(said: str, told: str) -> None:
    assert plain_reason(said) == told


def test_a_long_reason_keeps_both_ends_and_more_of_the_last() -> None:
    told = shortened(f"It failed {'because ' * 200}the axis is open")
    assert told.startswith("It failed because")
    assert told.endswith("the axis is open")
    assert len(told) <= 605
    assert shortened("short") == "short"


def test_mlir_s_places_are_left_out() -> None:
    place = 'loc(callsite(fused["TensorListReserve:", "lstm/Array_1@__inference_9"] at fused["PartitionedCall:", "s"]))'
    assert without_places(f"{place}: 'tf.TensorListReserve' op requires a shape") == "'tf.TensorListReserve' op requires a shape"
    assert without_places(f"'tf.X' op failed: {place}") == "'tf.X' op failed"
    assert without_places(place) == ""
