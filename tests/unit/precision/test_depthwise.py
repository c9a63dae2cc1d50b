"""What is quantized behind depthwise convolutions for TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

from core.base.precision import Precision
from core.precision.calibration.ranges import Ranges, TensorRange
from core.precision.depthwise import is_depthwise, quantized_behind
from core.precision.lower import lower
from core.precision.placement_check import check_placement
from core.precision.quantize_plan import plan
from core.precision.quantize_rewrite import quantize
from core.precision.settings import DEFAULTS, PrecisionSettings
from core.precision.target import QuantizedOutputs, parse_target
from core.precision.view import GraphView

Make = Callable[..., onnx.ModelProto]
Readers = dict[str, set[tuple[str, int]]]

# Squeeze-and-excite as EfficientNet has it.
SQUEEZE = """
    squeezed = GlobalAveragePool (made)
    reduced = Conv (squeezed, reduce)
    expanded = Conv (reduced, expand)
    gate = Sigmoid (expanded)
    excited = Mul (made, gate)
    y = Conv (excited, project)
"""


def block(make_network: Make, behind: str) -> onnx.ModelProto:
    """A depthwise convolution `d` of 4 channels, and what is behind it."""
    shapes = {"depth": (4, 1, 3, 3), "reduce": (2, 4, 1, 1), "expand": (4, 2, 1, 1), "project": (3, 4, 1, 1)}
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items() if name == "depth" or name in behind}
    weights |= {name: np.array(value, np.float32) for name, value in {"three": 3, "six": 6, "zero": 0}.items() if name in behind}
    body = "d = Conv <group = 4, pads = [1,1,1,1]> (x, depth)" + behind
    return make_network(body, inputs="float[batch,4,8,8] x", outputs="float[batch,c,h,w] y", weights=weights)


def ranges_of(model: onnx.ModelProto) -> Ranges:
    tensors = {name: TensorRange(low=-1.0, high=1.0) for name in GraphView(model).dtypes}
    return Ranges(model="", data="test", samples=1, calibrated=True, tensors=tensors)


def readers(model: onnx.ModelProto, outputs: QuantizedOutputs, settings: PrecisionSettings = DEFAULTS) -> Readers:
    decided = plan(model, settings, outputs=outputs)
    return {tensor: set(found) for tensor, found in decided.activations.items()}


def added(model: onnx.ModelProto, settings: PrecisionSettings = DEFAULTS) -> Readers:
    """What is quantized for the sake of depthwise convolutions alone."""
    plain, more = readers(model, QuantizedOutputs.NONE, settings), readers(model, QuantizedOutputs.DEPTHWISE, settings)
    assert all(plain[tensor] <= more[tensor] for tensor in plain)
    left = {tensor: found - plain.get(tensor, set()) for tensor, found in more.items()}
    return {tensor: found for tensor, found in left.items() if found}


def test_everyone_reads_a_swish_quantized_and_the_gate_that_scales_it_too(make_network: Make) -> None:
    model = block(make_network, f"s = Sigmoid (d) made = Mul (d, s) {SQUEEZE}")
    assert added(model) == {
        "made": {("GlobalAveragePool_squeezed", 0), ("Mul_excited", 0)},
        "gate": {("Mul_excited", 1)},
    }
    quantize(model, plan(model, outputs=QuantizedOutputs.DEPTHWISE), ranges_of(model), Precision.INT8)
    assert check_placement(model, stored_weights=False) == ()


@pytest.mark.parametrize(
    "activation",
    [
        "made = Relu (d)",
        "made = HardSwish (d)",
        "scaled = Mul (d, six) shifted = Add (scaled, three) made = Clip (shifted, zero, six)",
        "s = HardSigmoid (d) made = Mul (s, d)",
        "a = Add (d, three) c = Clip (a, zero, six) p = Mul (d, c) made = Div (p, six)",
        "m = Mul (d, six) a = Add (m, three) c = Clip (a, zero, six) made = Mul (d, c)",
        "s = Softplus (d) t = Tanh (s) made = Mul (d, t)",
    ],
)
def test_the_activation_stays_with_its_convolution(make_network: Make, activation: str) -> None:
    assert added(block(make_network, f"{activation} {SQUEEZE}")).keys() == {"made", "gate"}


def test_where_the_next_convolution_reads_it_nothing_changes(make_network: Make) -> None:
    assert added(block(make_network, "made = Relu (d) y = Conv (made, project)")) == {}


def test_of_a_sum_one_input_stays_as_it_is(make_network: Make) -> None:
    assert added(block(make_network, "r = Relu (d) y = Add (r, x)")) == {}


def test_kept_readers_and_kept_convolutions_stay(make_network: Make) -> None:
    model = block(make_network, f"made = Relu (d) {SQUEEZE}")
    assert added(model, PrecisionSettings(keep_ops=("GlobalAveragePool",)))["made"] == {("Mul_excited", 0)}
    assert added(model, PrecisionSettings(keep_nodes=("Conv_d",))) == {}


@pytest.mark.parametrize(
    "behind",
    [
        "s = Sigmoid (d) q = GlobalAveragePool (s) y = Mul (d, q)",
        "r = Relu (d) n = Neg (d) y = Concat <axis = 1> (r, n)",
    ],
)
def test_an_activation_among_other_readers_stays_with_its_convolution(make_network: Make, behind: str) -> None:
    model = block(make_network, behind)
    view = GraphView(model)
    assert is_depthwise(view.producer["d"], view)
    assert quantized_behind(view.producer["d"], view) == {}


def test_a_gate_that_others_read_too_stays_as_it_is(make_network: Make) -> None:
    behind = "made = Relu (d) p = GlobalAveragePool (made) g = Sigmoid (p) e = Mul (made, g) f = Add (e, g) y = Conv (f, project)"
    assert added(block(make_network, behind)).keys() == {"made"}


def test_a_product_of_two_computed_tensors_keeps_both_as_they_are(make_network: Make) -> None:
    assert added(block(make_network, "r = Relu (d) y = MatMul (r, x)")) == {}


def test_trials_on_a_cpu_have_the_placement_with_fp32_in_between(make_network: Make) -> None:
    model = block(make_network, f"made = Relu (d) {SQUEEZE}")
    tried = lower(model, Precision.INT8, replace(parse_target("tensorrt-11.0"), emulated=True), ranges=ranges_of(model))[0]
    quantized = {node.input[0] for node in tried.graph.node if node.op_type == "QuantizeLinear"}
    assert {"x", "made", "gate"} <= quantized
    assert "Cast" not in {node.op_type for node in tried.graph.node}


def test_only_tensorrt_asks_for_it() -> None:
    asked = {name: parse_target(name).quantized_outputs for name in ("tensorrt-8.5", "tensorrt", "onnxruntime", "openvino")}
    assert asked == {
        "tensorrt-8.5": QuantizedOutputs.DEPTHWISE,
        "tensorrt": QuantizedOutputs.DEPTHWISE,
        "onnxruntime": QuantizedOutputs.ALL,
        "openvino": QuantizedOutputs.NONE,
    }
