"""Simplifying keeps what a model computes and the names of the nodes that stay, and tells what it changed."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.base.errors import BrokenModel
from core.onnxio.simplify import simplify

FLOAT = TensorProto.FLOAT


def weight(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def save(path, nodes, weights, *, inputs=(("x", ["batch", 3, 8, 8]),), outputs=(("y", ["batch", 4, 6, 6]),), opset=17):
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def run(path, feed):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feed)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def convolution(tmp_path, rng):
    """A convolution whose bias went through Identity, then BatchNorm as Mul and Add, and a node nobody uses."""
    f32 = np.float32
    nodes = [
        helper.make_node("Identity", ["b"], ["b_same"], name="Identity_7"),
        helper.make_node("Conv", ["x", "w", "b_same"], ["conv_out"], name="stem/conv"),
        helper.make_node("Mul", ["conv_out", "scale"], ["scaled"], name="stem/mul"),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"], name="stem/add"),
        helper.make_node("Relu", ["shifted"], ["y"], name="stem/relu"),
        helper.make_node("Relu", ["conv_out"], ["unused"], name="dead"),
    ]
    weights = [
        weight("w", rng.normal(size=(4, 3, 3, 3)).astype(f32)),
        weight("b", rng.normal(size=4).astype(f32)),
        weight("scale", rng.normal(size=(1, 4, 1, 1)).astype(f32)),
        weight("shift", rng.normal(size=(1, 4, 1, 1)).astype(f32)),
    ]
    return save(tmp_path / "source.onnx", nodes, weights)


def test_constants_are_folded_and_the_result_is_the_same(convolution, tmp_path, rng):
    folder = tmp_path / "out"
    folder.mkdir()
    told = []
    result = simplify(convolution, folder, told.append)
    graph = onnx.load(folder / result.entry).graph
    assert [(node.name, node.op_type) for node in graph.node] == [("stem/conv", "Conv"), ("stem/relu", "Relu")]
    assert result.folded == ("Identity_7",)
    assert set(result.removed) == {"stem/mul", "stem/add", "dead"}
    assert (result.nodes_before, result.nodes_after, result.added, result.notes) == (6, 2, (), ())
    assert result.ops_after == {"Conv": 1, "Relu": 1}
    assert result.version
    assert [progress.fraction for progress in told] == sorted(progress.fraction for progress in told)
    feed = {"x": rng.normal(size=(2, 3, 8, 8)).astype(np.float32)}
    np.testing.assert_allclose(run(folder / result.entry, feed)[0], run(convolution, feed)[0], rtol=1e-5, atol=1e-5)


def test_kernel_shapes_are_spelled_out(convolution, tmp_path):
    (tmp_path / "out").mkdir()
    simplify(convolution, tmp_path / "out")
    conv = onnx.load(tmp_path / "out/model.onnx").graph.node[0]
    assert [list(attribute.ints) for attribute in conv.attribute if attribute.name == "kernel_shape"] == [[3, 3]]


def test_dynamic_axes_keep_their_symbols(convolution, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    simplify(convolution, folder)
    graph = onnx.load(folder / "model.onnx").graph
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_quantized_weights_stay_quantized(tmp_path, rng):
    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "s", "z"], ["w"], name="dq", axis=0),
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
    ]
    weights = [
        weight("w8", rng.integers(-127, 127, (4, 3, 3, 3)).astype(np.int8)),
        weight("s", np.full(4, 0.01, np.float32)),
        weight("z", np.zeros(4, np.int8)),
    ]
    save(tmp_path / "source.onnx", nodes, weights)
    (tmp_path / "out").mkdir()
    result = simplify(tmp_path / "source.onnx", tmp_path / "out")
    assert result.ops_after == {"DequantizeLinear": 1, "Conv": 1}


def test_small_constants_are_not_unpacked_into_large_ones(tmp_path):
    nodes = [
        helper.make_node("Expand", ["one", "shape"], ["ones"], name="expand"),
        helper.make_node("Add", ["x", "ones"], ["y"], name="add"),
    ]
    shape = [1, 64, 512, 512]  # 64 MiB
    weights = [weight("one", np.ones((1, 1, 1, 1), np.float32)), weight("shape", np.array(shape, np.int64))]
    save(tmp_path / "source.onnx", nodes, weights, inputs=(("x", shape),), outputs=(("y", shape),))
    (tmp_path / "out").mkdir()
    simplify(tmp_path / "source.onnx", tmp_path / "out")
    assert (tmp_path / "out/model.onnx").stat().st_size < 10_000


def test_nodes_without_a_name_get_one(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Exp", ["a"], ["y"])]
    shape = ["batch", 3]
    save(tmp_path / "source.onnx", nodes, [], inputs=(("x", shape),), outputs=(("y", shape),))
    (tmp_path / "out").mkdir()
    simplify(tmp_path / "source.onnx", tmp_path / "out")
    assert all(node.name for node in onnx.load(tmp_path / "out/model.onnx").graph.node)


def test_a_graph_that_cannot_be_simplified_is_left_as_it_was(convolution, tmp_path, monkeypatch):
    import onnxslim

    def fail(model, **_):
        del model.graph.node[:]
        raise RuntimeError("no such pass")

    monkeypatch.setattr(onnxslim, "slim", fail)
    (tmp_path / "out").mkdir()
    result = simplify(convolution, tmp_path / "out")
    assert result.nodes_after == result.nodes_before == 6
    assert "no such pass" in result.notes[0]


def test_broken_files_are_refused(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(BrokenModel):
        simplify(tmp_path / "broken.onnx", tmp_path)


def test_random_values_stay_random(tmp_path):
    """onnxslim works a RandomNormal out once, and every run would give the same."""
    nodes = [
        helper.make_node("RandomNormal", [], ["noise"], name="noise", shape=[4, 6, 6]),
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Add", ["c", "noise"], ["y"], name="add"),
    ]
    path = save(tmp_path / "random.onnx", nodes, [weight("w", np.zeros((4, 3, 3, 3), np.float32))])
    (tmp_path / "out").mkdir()
    told = simplify(path, tmp_path / "out")
    assert "took out nodes that give other values each time" in told.notes[0]
    assert told.removed == ()
    feed = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    session = tmp_path / "out" / told.entry
    assert run(session, feed)[0].std() > 0.5
    assert [node.name for node in onnx.load(session).graph.node] == ["noise", "conv", "add"]


def test_inputs_that_nothing_reads_any_more_stay(tmp_path):
    """One that nothing reads, one whose shape alone is read, one for a node that nobody uses; a weight on the inputs is none."""
    nodes = [
        helper.make_node("Shape", ["shaped"], ["lengths"], name="shape"),
        helper.make_node("Reshape", ["x", "lengths"], ["y"], name="reshape"),
        helper.make_node("Mul", ["dead", "k"], ["nobody"], name="dead"),
        helper.make_node("Mul", ["y", "k"], ["z"], name="scaled"),
    ]
    inputs = (("spare", ["batch"]), ("shaped", [2, 6]), ("x", [3, 4]), ("k", [6]), ("dead", [6]))
    source = save(
        tmp_path / "s.onnx", nodes, [weight("k", np.arange(6, dtype=np.float32))], inputs=inputs, outputs=[("z", [2, 6])]
    )
    (tmp_path / "out").mkdir()
    simplify(source, tmp_path / "out")
    made = onnx.load(tmp_path / "out" / "model.onnx")
    assert [value.name for value in made.graph.input if value.name != "k"] == ["spare", "shaped", "x", "dead"]
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    fed = {"spare": np.zeros(5, np.float32), "shaped": np.zeros((2, 6), np.float32), "x": x, "dead": np.zeros(6, np.float32)}
    np.testing.assert_array_equal(run(tmp_path / "out" / "model.onnx", fed)[0], x.reshape(2, 6) * np.arange(6))
