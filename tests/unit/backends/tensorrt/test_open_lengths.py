"""Open lengths of a builder's list, at the profile's usual lengths: told by the source graph, or left open."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from core.backends._tensorrt.open_lengths import OpenShapes, open_shapes, with_usual_lengths
from core.base.profile import parse_profile
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode
from core.models.onnx_graph import graph_signature

ROWS = OpenShapes(
    usual=({"x": (2, 64, 4), "y": (2, 64, 4), "mean": (2, 1, 4)},), other=({"x": (9, 64, 4), "y": (9, 64, 4), "mean": (9, 1, 4)},)
)


def shape_of(*lengths: int | None, nodes: tuple[str, ...] = ("relu",), shapes: OpenShapes = ROWS) -> tuple[int, ...] | None:
    """Of what a layer with these nodes writes."""
    known = (
        SourceNode(name="relu", op="Relu", inputs=("x",), outputs=("y",)),
        SourceNode(name="mean", op="ReduceMean", inputs=("y",), outputs=("mean",)),
    )
    layer = Layer(name="l", kind="kgen", source_nodes=nodes, outputs=(LayerTensor(name="t", dtype="int8", lengths=lengths),))
    return with_usual_lengths(EngineGraph(layers=(layer,), source_nodes=known), shapes).layers[0].outputs[0].shape


@pytest.mark.parametrize(
    ("lengths", "shape"),
    [
        ((None, 64, 4), (2, 64, 4)),
        ((None, 4), (128, 4)),  # batch times 64, as of BERT at a fixed length
        ((None, 4, 64), (2, 4, 64)),  # the other axes exchanged
        ((None, 4, 8, 8), (2, 4, 8, 8)),
        ((None, 72, 4), (2, 72, 4)),  # channels are padded on the second axis
        ((None, 64, 8), None),
        ((None,), (512,)),
        ((None, None, 4), (2, 64, 4)),
        ((None, 3), None),
        ((None, 0), None),
        ((64, None), None),
    ],
)
def test_a_length_is_told_where_one_shape_of_the_source_graph_fits(lengths, shape) -> None:
    assert shape_of(*lengths) == shape


def test_nodes_that_leave_two_answers_leave_it_open() -> None:
    """[-1, 4] of a layer that has both the values and their mean: 128 or 2 rows."""
    assert shape_of(None, 4, nodes=("mean",)) == (2, 4)
    assert shape_of(None, 4, nodes=("relu", "mean")) is None
    assert shape_of(None, 64, 4, nodes=("relu", "mean")) == (2, 64, 4)


def test_without_source_nodes_it_stays_open() -> None:
    assert shape_of(None, 4, nodes=()) is None
    assert shape_of(None, 4, shapes=OpenShapes()) is None


def test_a_tensor_that_is_read_in_another_shape_has_as_many_elements() -> None:
    written = LayerTensor(name="t", dtype="int8", lengths=(None, 64, 4))
    read = LayerTensor(name="t", dtype="int8", lengths=(None, 4))
    layers = (
        Layer(name="a", kind="kgen", source_nodes=("relu",), outputs=(written,)),
        Layer(name="b", kind="gemm", inputs=(read,)),
    )
    source = (SourceNode(name="relu", op="Relu", inputs=("x",), outputs=("y",)),)
    told = with_usual_lengths(EngineGraph(layers=layers, source_nodes=source), ROWS)
    assert [one.shape for one in (told.layers[0].outputs[0], told.layers[1].inputs[0])] == [(2, 64, 4), (128, 4)]


def model() -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "s", 4]) for name in ("x", "y")]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], [0.0] * 16)
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights]))


def test_shapes_are_those_of_each_profile_and_constants_are_left_out() -> None:
    graph = model()
    found = open_shapes(graph, graph_signature(graph), [parse_profile(["n=1:2:8", "s=5"]), parse_profile(["n=3", "s=5"])])
    assert [dict(one) for one in found.usual] == [dict.fromkeys("xay", (2, 5, 4)), dict.fromkeys("xay", (3, 5, 4))]
    assert all(shape[1] == 5 and shape[0] > 3 for one in found.other for shape in one.values())  # s has one length: it is no axis


def test_without_open_axes_there_is_nothing_to_tell() -> None:
    graph = model()
    found = open_shapes(graph, graph_signature(graph), [parse_profile(["n=3", "s=5"])])
    assert found.usual == ({},)


def test_a_batch_of_one_is_told_by_other_batches() -> None:
    """[1, s, 4] and what nothing tells the lengths of make a first length that is not known; [8, s, 4] and that make 8."""
    graph = model()
    nodes = [
        helper.make_node("Mul", ["v", "v"], ["lengths"]),
        helper.make_node("Cast", ["lengths"], ["shape"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["w", "shape"], ["untold"]),
        helper.make_node("Add", ["x", "untold"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    graph.graph.initializer.append(helper.make_tensor("v", TensorProto.FLOAT, [3], [1.0, 1.0, 4.0]))
    found = open_shapes(graph, graph_signature(graph), [parse_profile(["n=1:1:8", "s=2:5:9"])])
    assert found.usual[0] == dict.fromkeys("xay", (1, 5, 4))
