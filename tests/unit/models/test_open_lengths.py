"""Lengths of open axes that a graph takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from core.base.profile import ShapeProfile
from core.models.onnx_graph import graph_signature
from core.models.open_lengths import lengths_taken

NODE = helper.make_node


def model(nodes: list[NodeProto], shape: list[int | str], **weights: np.ndarray) -> onnx.ModelProto:
    held = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph(nodes, "g", [given], [made], held), opset_imports=[helper.make_opsetid("", 17)])


def taken(found: onnx.ModelProto) -> dict[str, int]:
    return lengths_taken(found, graph_signature(found))


def test_a_filter_longer_than_the_guess_demands_more() -> None:
    nodes = [NODE("Conv", ["x", "w"], ["y"], strides=[160])]
    assert taken(model(nodes, ["batch", 1, "samples"], w=np.ones((4, 1, 400), np.float32))) == {"samples": 416}


def test_a_product_behind_a_flattened_image_demands_its_size() -> None:
    nodes = [
        NODE("MaxPool", ["x"], ["p"], kernel_shape=[32, 32], strides=[32, 32]),
        NODE("Flatten", ["p"], ["f"]),
        NODE("MatMul", ["f", "w"], ["y"]),
    ]
    assert taken(model(nodes, ["batch", 3, "height", "width"], w=np.ones((3 * 49, 5), np.float32))) == {
        "height": 224,
        "width": 224,
    }


def test_a_graph_that_takes_the_guess_or_nothing_keeps_it() -> None:
    assert taken(model([NODE("Relu", ["x"], ["y"])], ["batch", "length"])) == {}
    assert taken(model([NODE("Strange", ["x"], ["y"], domain="nobody")], ["batch", "length"])) == {}
    assert taken(model([NODE("MatMul", ["x", "w"], ["y"])], ["batch", "length"], w=np.ones((77, 5), np.float32))) == {}
    assert taken(model([NODE("Relu", ["x"], ["y"])], ["batch", 8])) == {}


def test_the_length_becomes_the_profile_s_and_says_why() -> None:
    found = model([NODE("Conv", ["x", "w"], ["y"])], ["batch", 1, "samples"], w=np.ones((4, 1, 400), np.float32))
    signature = replace(graph_signature(found), lengths=taken(found))
    profile = ShapeProfile().complete(signature)
    assert profile.shape(signature.inputs[0]) == (1, 1, 416)
    assert profile.guessed(signature) == {"samples": 416}
    assert "does not take 64, the first guess, for samples" in profile.guess_note(signature)
