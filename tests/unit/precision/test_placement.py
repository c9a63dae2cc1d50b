"""Other places for Q and DQ: what is left out, what moves behind convolutions, and where none of it is for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import checker, numpy_helper

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.precision.calibration.ranges import Ranges, TensorRange
from core.precision.element_types import GRIDS, to_grid
from core.precision.load import copy_of
from core.precision.lower import lower
from core.precision.quantize_plan import plan
from core.precision.record import PrecisionRecord
from core.precision.runner import Runner
from core.precision.settings import Placement, PrecisionEngine, PrecisionSettings, parse_settings, settings_as_texts
from core.precision.target import check_placements, parse_target
from core.precision.view import GraphView
from tests.unit.precision.conftest import Make

TARGET = parse_target("tensorrt-11.0")
BEHIND = PrecisionSettings(placement=(Placement.SCALES_BEHIND,))


def ranges_of(model: onnx.ModelProto, largest: float = 4.0) -> Ranges:
    tensors = {name: TensorRange(low=-largest, high=largest) for name in GraphView(model).dtypes}
    return Ranges(model="", data="test", samples=1, calibrated=True, tensors=tensors)


def lowered(
    model: onnx.ModelProto, settings: PrecisionSettings, *, largest: float = 4.0
) -> tuple[onnx.ModelProto, PrecisionRecord]:
    made, record = lower(copy_of(model), Precision.INT8, TARGET, settings, ranges=ranges_of(model, largest))
    checker.check_model(made, full_check=True)
    return made, record


def uneven(make_network: Make, bias: str = "", **weights: NDArray[Any]) -> onnx.ModelProto:
    """A convolution whose second channel is a thousand times smaller than its first, and whose third is nothing."""
    rng = np.random.default_rng(1)
    filters = rng.normal(0, 0.2, (3, 4, 3, 3)) * np.array([1.0, 1e-3, 0.0]).reshape(3, 1, 1, 1)
    body = f"c = Conv <pads = [1,1,1,1]> (x, w{bias}) y = Relu (c)"
    return make_network(body, inputs="float[2,4,6,6] x", outputs="float[2,3,6,6] y", weights={"w": filters, **weights}, opset=19)


def integers(model: onnx.ModelProto, convolution: str) -> NDArray[np.float32]:
    """What the Q before a convolution's weights makes of them."""
    view = GraphView(model)
    node = next(node for node in model.graph.node if node.name == convolution)
    quantizer = view.producer[view.producer[node.input[1]].input[0]]
    weights, scale = (view.array(name).astype(np.float32) for name in quantizer.input[:2])
    return np.round(weights / (scale.reshape(-1, 1, 1, 1) if scale.ndim else scale))


def test_the_channels_scales_multiply_behind_the_convolution(make_network: Make) -> None:
    model = uneven(make_network, ", b", b=np.array([0.5, -0.25, 1.0]))
    made, record = lowered(model, BEHIND)
    ops = [node.op_type for node in made.graph.node if not node.op_type.startswith(("Quantize", "Dequantize", "Cast"))]
    assert ops == ["Conv", "Mul", "Add", "Relu"]
    convolution = next(node for node in made.graph.node if node.op_type == "Conv")
    assert len(convolution.input) == 2
    assert not {"w", "b"} & {tensor.name for tensor in made.graph.initializer}
    assert record.converted == ("Conv_c",)
    assert record.violations == ()


def test_the_weights_are_the_integers_that_their_own_scales_give(make_network: Make) -> None:
    model = uneven(make_network)
    weights = numpy_helper.to_array(model.graph.initializer[0])
    scales = np.abs(weights).max(axis=(1, 2, 3)) / 127
    expected = np.round(weights[:2] / scales[:2].reshape(-1, 1, 1, 1))
    found = integers(lowered(model, BEHIND)[0], "Conv_c")
    np.testing.assert_array_equal(found[:2], expected)
    assert not found[2].any()
    assert np.abs(found).max() == 127


def test_fp8_weights_are_those_that_their_own_scales_give_too(make_network: Make) -> None:
    rng = np.random.default_rng(1)
    filters = (rng.normal(0, 0.2, (16, 16, 3, 3)) * rng.uniform(0.05, 1, 16).reshape(16, 1, 1, 1)).astype(np.float32)
    body = "y = Conv <pads = [1,1,1,1]> (x, w)"
    model = make_network(body, inputs="float[1,16,6,6] x", outputs="float[1,16,6,6] y", weights={"w": filters}, opset=19)
    made = lower(model, Precision.FP8, TARGET, BEHIND, ranges=ranges_of(model))[0]
    view = GraphView(made)
    convolution = next(node for node in made.graph.node if node.op_type == "Conv")
    quantizer = view.producer[view.producer[convolution.input[1]].input[0]]
    weights, scale = (view.array(name).astype(np.float32) for name in quantizer.input[:2])
    own = np.abs(filters).max(axis=(1, 2, 3)).reshape(-1, 1, 1, 1) / 448
    np.testing.assert_array_equal(to_grid(weights / scale, GRIDS[Precision.FP8]), to_grid(filters / own, GRIDS[Precision.FP8]))


def test_what_it_computes_stays_the_same(make_network: Make) -> None:
    model = uneven(make_network, ", b", b=np.array([0.5, -0.25, 1.0]))
    image = {"x": np.random.default_rng(2).uniform(-4, 4, (2, 4, 6, 6)).astype(np.float32)}
    exact, by_rules, by_behind = (
        Runner(made, ["y"], exact=True).run(image)[0].astype(np.float32)
        for made in (copy_of(model), lowered(model, PrecisionSettings())[0], lowered(model, BEHIND)[0])
    )
    assert np.abs(by_behind - exact).max() < 1.1 * np.abs(by_rules - exact).max() < 0.01 * exact.max()
    np.testing.assert_allclose(by_behind, by_rules, atol=0.02)
    assert np.abs(by_behind[:, 1] - exact[:, 1]).max() < 2e-3  # the small channel, by its own measure
    np.testing.assert_allclose(by_behind[:, 2], 1.0, atol=1e-3)  # the empty one is its bias


def test_no_sum_can_leave_the_range_of_fp16(make_network: Make) -> None:
    model = uneven(make_network)
    made, record = lowered(model, BEHIND, largest=20_000.0)
    view = GraphView(made)
    quantizer = view.producer[next(node for node in made.graph.node if node.op_type == "Conv").input[1]]
    scale = float(view.array(quantizer.input[1]))
    largest = 20_000.0 * np.abs(integers(made, "Conv_c")).sum(axis=(1, 2, 3)).max() * scale
    assert scale < np.abs(numpy_helper.to_array(model.graph.initializer[0])).max() / 127
    assert largest <= 65504 / 2 * (1 + 2**-11)  # as far as the scale was rounded
    assert record.converted == ("Conv_c",)


def test_where_fp16_has_no_scale_for_it_the_channels_keep_theirs(make_network: Make) -> None:
    made, _ = lowered(uneven(make_network), BEHIND, largest=2e6)
    assert "Mul" not in {node.op_type for node in made.graph.node}


def test_a_bias_that_is_computed_stays_with_its_convolution(make_network: Make) -> None:
    body = "m = Mul (b, two) c = Conv <pads = [1,1,1,1]> (x, w, m) y = Relu (c)"
    weights = {"w": np.ones((3, 4, 3, 3)), "b": np.ones(3), "two": np.array(2.0)}
    model = make_network(body, inputs="float[2,4,6,6] x", outputs="float[2,3,6,6] y", weights=weights, opset=19)
    made, _ = lowered(model, BEHIND)
    assert [node.op_type for node in made.graph.node].count("Mul") == 1


def test_residual_blocks_keep_their_names_and_break_no_rule(residual: onnx.ModelProto) -> None:
    simple = copy_of(residual)
    made, record = lowered(simple, BEHIND)
    assert {node.name for node in residual.graph.node} <= {node.name for node in made.graph.node}
    assert record.violations == ()
    shared = [node for node in made.graph.node if node.op_type == "Conv" and node.input[1] == "w2_dq"]
    assert shared == []  # two convolutions read w2: each has integers of its own


def block(make_network: Make) -> onnx.ModelProto:
    """A depthwise convolution between two of which one has more weights than activations."""
    rng = np.random.default_rng(0)
    body = """
        e = Conv (x, expand)
        d = Conv <group = 16, pads = [1,1,1,1]> (e, depth)
        y = Conv <strides = [4,4]> (d, project)
    """
    weights = {"expand": (16, 4, 1, 1), "depth": (16, 1, 3, 3), "project": (64, 16, 4, 4)}
    arrays = {name: rng.normal(size=shape) for name, shape in weights.items()}
    return make_network(body, inputs="float[batch,4,8,8] x", outputs="float[batch,c,h,w] y", weights=arrays, opset=19)


@pytest.mark.parametrize(
    ("placement", "kept"),
    [
        ((), {}),
        ((Placement.FLOAT_DEPTHWISE,), {"Conv_d": "depthwise convolutions are left as they are"}),
        (
            (Placement.HEAVY_ONLY,),
            # 64 x 8 x 8 and 16 x 8 x 8 elements against 64, 2 x 16 x 8 x 8 against 144; the last has 1,024 + 256 against 16,384.
            {"Conv_e": "it has more activations than weights", "Conv_d": "it has more activations than weights"},
        ),
    ],
)
def test_what_a_placement_leaves_out(make_network: Make, placement: tuple[Placement, ...], kept: dict[str, str]) -> None:
    decided = plan(block(make_network), PrecisionSettings(placement=placement), outputs=TARGET.quantized_outputs)
    assert decided.kept == kept
    assert decided.weights.keys() == {"Conv_e", "Conv_d", "Conv_y"} - kept.keys()


def test_a_wish_to_keep_a_node_goes_before_a_placement(make_network: Make) -> None:
    settings = PrecisionSettings(placement=(Placement.HEAVY_ONLY,), keep_nodes=("Conv_d",))
    assert plan(block(make_network), settings).kept["Conv_d"] == "kept by name"


def test_what_has_no_known_shape_is_quantized(make_network: Make) -> None:
    body = "s = Mul (x, x) y = Conv (s, w)"
    model = make_network(body, inputs="float x", outputs="float y", weights={"w": np.ones((1, 1, 1, 1))}, opset=19)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert plan(model, PrecisionSettings(placement=(Placement.HEAVY_ONLY,))).kept == {}


@pytest.mark.parametrize(
    ("target", "precision", "settings", "told"),
    [
        ("onnxruntime", Precision.INT8, BEHIND, "is for TensorRT 10 and later"),
        ("tensorrt-8.6", Precision.INT8, BEHIND, "the graph is for tensorrt-8.6"),
        ("tensorrt", Precision.INT8, replace(BEHIND, engine=PrecisionEngine.MODELOPT), "modelopt places Q and DQ itself"),
    ],
)
def test_placements_are_refused_where_they_are_not_for(
    target: str, precision: Precision, settings: PrecisionSettings, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told) as refusal:
        check_placements(precision, parse_target(target), settings)
    assert refusal.value.hint


def test_precisions_without_q_and_dq_ignore_them() -> None:
    check_placements(Precision.FP16, parse_target("onnxruntime"), BEHIND)
    check_placements(Precision.INT8, parse_target("onnxruntime"), PrecisionSettings())


def test_texts_have_one_order() -> None:
    read = parse_settings(["placement=heavy_only,scales_behind,heavy_only"])
    assert read.placement == (Placement.SCALES_BEHIND, Placement.HEAVY_ONLY)
    assert settings_as_texts(read) == ["placement=scales_behind,heavy_only"]
    with pytest.raises(InvalidRequest, match=r"placement.0 cannot be 'everywhere'"):
        parse_settings(["placement=everywhere"])


def test_every_placement_says_what_it_does() -> None:
    assert all(one.summary for one in Placement)
