"""Strides of 1x1 convolutions, spelled out for OpenVINO."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from core.base.precision import Precision
from core.base.progress import silent
from core.models.onnx_graph import graph_signature
from core.precision.calibration.collect import collect_ranges, float_tensors
from core.precision.calibration.samples import SampleSource, open_data
from core.precision.lower import lower
from core.precision.placement_check import check_placement
from core.precision.requested import requested_types
from core.precision.runner import Runner
from core.precision.strides import spell_out_strides
from core.precision.target import parse_target

BODY = """
    a = Conv <kernel_shape = [3,3], pads = [1,1,1,1]> (image, w)
    r = Relu (a)
    left = Conv <kernel_shape = [1,1], strides = [2,2]> (r, v)
    right = Conv <kernel_shape = [1,1], strides = [2,2]> (r, u)
    wide = Conv <kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1]> (r, w2)
    plain = Conv <kernel_shape = [1,1], strides = [1,1]> (left, v)
    sum = Add (plain, right)
    y = Add (sum, wide)
"""


@pytest.fixture
def model(make_network: Callable[..., onnx.ModelProto]) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    shapes = {"w": (8, 3, 3, 3), "w2": (8, 8, 3, 3), "v": (8, 8, 1, 1), "u": (8, 8, 1, 1)}
    weights = {name: rng.normal(0, 0.2, shape) for name, shape in shapes.items()}
    return make_network(BODY, inputs="float[batch,3,9,9] image", outputs="float[batch,8,5,5] y", weights=weights)


def test_it_is_the_same_function(model: onnx.ModelProto) -> None:
    data = open_data(SampleSource(random_samples=3), graph_signature(model))
    ranges = collect_ranges(model, float_tensors(model), data, silent)

    def lowered(target: str) -> onnx.ModelProto:
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        return lower(copy, Precision.INT8, parse_target(target), ranges=ranges)[0]

    plain, spelled = lowered("tensorrt-8.6"), lowered("openvino")
    pools = [node for node in spelled.graph.node if node.op_type == "MaxPool"]
    assert [node.name for node in pools] == ["r_dq_strided_2x2"]
    strides = {
        node.name: list(attribute.ints)
        for node in spelled.graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "strides"
    }
    assert strides == {"Conv_wide": [2, 2], "Conv_plain": [1, 1]}
    assert not [node for node in plain.graph.node if node.op_type == "MaxPool"]
    sample = next(iter(data.read()))
    runs = [Runner(one, ["y"], exact=True).run(sample)[0] for one in (plain, spelled)]
    np.testing.assert_allclose(runs[1], runs[0], atol=1e-5)
    assert check_placement(spelled) == ()
    asked = requested_types(spelled)
    assert asked["Conv_left"] == asked["Conv_right"] == "int8"


def test_a_graph_without_quantized_convolutions_stays(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    assert spell_out_strides(model) == 0
    assert model.SerializeToString() == before
