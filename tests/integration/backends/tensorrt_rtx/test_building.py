"""Real engines of TensorRT-RTX, built with no GPU: every node accounted for, every option, and what it refuses, in words."""

import json
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.analysis.memory import layer_bytes
from core.analysis.traffic import Traffic
from core.backends.base import BuildConfig
from core.backends.tensorrt_rtx import BACKEND
from core.base.errors import BuildFailed, InvalidRequest, Unavailable, UnsupportedOps
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import silent
from core.graph.engine_graph import Fate
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.precision.prepare import prepare
from core.precision.target import parse_target
from tests.unit.backends.tensorrt.test_aliases import ODD

HERE = BACKEND.availability()
pytestmark = pytest.mark.skipif(not HERE.available, reason=f"{HERE.reason} {HERE.hint}")
FLOAT = TensorProto.FLOAT


def save(path, nodes, inputs, outputs, weights=(), opset=17):
    """Inputs and outputs as (name, element type, shape); weights by name."""
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(weights).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path)))


def convolutions(path, names=("conv", "relu", "pool", "flat", "fc", "soft")):
    """A small network of images [n, 3, 16, 16]."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(8, 3, 3, 3)).astype("f"), "v": rng.normal(size=(8, 5)).astype("f")}
    chain = [("Conv", ["x", "w"], {"pads": [1] * 4}), ("Relu", ["a"], {}), ("GlobalAveragePool", ["b"], {})]
    chain += [("Flatten", ["c"], {}), ("MatMul", ["d", "v"], {}), ("Softmax", ["e"], {})]
    ends = ["a", "b", "c", "d", "e", "y"]
    nodes = [
        helper.make_node(op, given, [end], name=name, **more)
        for (op, given, more), end, name in zip(chain, ends, names, strict=True)
    ]
    return save(path, nodes, [("x", FLOAT, ["n", 3, 16, 16])], [("y", FLOAT, ["n", 5])], weights)


def built(source, folder, *, precision=Precision.FP32, shapes=("n=1:2:8",), **options):
    folder.mkdir(parents=True, exist_ok=True)
    profile = parse_profile(list(shapes)).complete(source.signature)
    return BACKEND.build(source, BuildConfig(precision=precision, profile=profile, options=options), folder, silent)


def carriers(graph):
    """How many layers carry each source node, those in none left out."""
    return Counter(name for layer in graph.layers for name in layer.source_nodes)


@pytest.mark.parametrize("precision", list(Precision))
def test_every_precision_builds_and_accounts_for_every_node(precision, tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    if precision.in_graph:
        (tmp_path / "graph").mkdir()
        made = prepare(source.path, tmp_path / "graph", precision, target=parse_target(BACKEND.target(HERE.version)))
        path = tmp_path / "graph" / made.entry
        source = Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path)))
    engine = built(source, tmp_path / "engine", precision=precision)
    graph = BACKEND.describe(engine)
    assert engine.size_bytes == (engine.folder / "engine.plan").stat().st_size > 10_000
    assert engine.versions["tensorrt_rtx"] == HERE.version
    assert graph.unmapped == ()
    assert graph.fused_layers
    assert "conv" in carriers(graph)
    assert graph.memory is not None
    assert graph.memory.weights_bytes > 0
    assert graph.memory.activation_bytes > 0
    computing = {layer.precision for layer in graph.layers if layer.kind == "correlation"}
    assert computing <= {precision.facts.dtype, "float32" if precision is Precision.TF32 else "float16"}, computing


def test_odd_names_are_told_as_they_are(tmp_path):
    names = ODD[:6]
    graph = BACKEND.describe(built(convolutions(tmp_path / "net.onnx", names), tmp_path / "engine"))
    assert [node.name for node in graph.source_nodes] == names
    carried = carriers(graph)
    loose = {node.name: node.fate for node in graph.loose_nodes}
    assert carried.keys() | loose.keys() == set(names)
    assert Fate.UNMAPPED not in loose.values()
    assert {names[0], names[4]} <= carried.keys()


def test_names_beyond_what_the_builder_takes_build(tmp_path):
    names = [f"{letter * 6_000}" for letter in "abcdef"]
    graph = BACKEND.describe(built(convolutions(tmp_path / "net.onnx", names), tmp_path / "engine"))
    assert names[0] in carriers(graph)
    assert graph.unmapped == ()


def test_a_deep_fusion_names_all_its_nodes(tmp_path):
    """Three hundred nodes in one kernel: their names together are far beyond the 4,000 characters that the builder tells."""
    nodes = [
        helper.make_node("Add" if index % 2 else "Mul", [f"t{index}", "c"], [f"t{index + 1}"], name=f"block/{'deep/' * 8}{index}")
        for index in range(300)
    ]
    source = save(
        tmp_path / "deep.onnx", nodes, [("t0", FLOAT, [4])], [("t300", FLOAT, [4])], {"c": np.float32([1.5, 2.5, 0.5, 1.0])}
    )
    graph = BACKEND.describe(built(source, tmp_path / "engine", shapes=()))
    assert graph.unmapped == ()
    assert len(carriers(graph)) == 300


def test_loops_and_branches_count_as_one_node(tmp_path):
    def branch(op):
        node = helper.make_node(op, ["x"], [f"{op}_y"], name=f"inner {op}")
        return helper.make_graph([node], op, [], [helper.make_tensor_value_info(f"{op}_y", FLOAT, [4])])

    condition = helper.make_node("Greater", ["total", "limit"], ["c"], name="compare")
    total = helper.make_node("ReduceSum", ["x"], ["total"], name="sum", keepdims=0)
    choice = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branch("Neg"), else_branch=branch("Exp"))
    source = save(
        tmp_path / "if.onnx", [total, condition, choice], [("x", FLOAT, [4])], [("y", FLOAT, [4])], {"limit": np.float32(1)}
    )
    graph = BACKEND.describe(built(source, tmp_path / "engine", shapes=()))
    assert [node.name for node in graph.source_nodes] == ["sum", "compare", "choice"]
    assert graph.unmapped == ()
    assert "choice" in carriers(graph)


def test_external_weights_are_found_beside_the_model(tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    inside = built(source, tmp_path / "inside")
    (tmp_path / "apart").mkdir()
    model = onnx.load(source.path)
    onnx.save(model, tmp_path / "apart/net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    apart = built(Source(path=tmp_path / "apart/net.onnx", format=Format.ONNX, signature=source.signature), tmp_path / "outside")
    assert apart.size_bytes == inside.size_bytes


@pytest.mark.parametrize(
    "options",
    [
        {"target_capabilities": "8.9"},
        {"target_capabilities": "8.0, 8.6,12.0"},
        {"optimization_level": 0},
        {"optimization_level": 5},
        {"workspace_mb": 512},
        {"memory_pools": "tactic_shared_memory:64K"},
        {"profiles": "n=16;n=32"},
        {"aux_streams": 0},
        {"sparsity": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_option_builds(options, tmp_path):
    engine = built(convolutions(tmp_path / "net.onnx"), tmp_path / "engine", **options)
    assert BACKEND.describe(engine).unmapped == ()


def test_an_engine_is_built_for_the_named_capabilities(tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    plans = {
        names: (built(source, tmp_path / names, target_capabilities=names).folder / "engine.plan").read_bytes()
        for names in ("8.9", "8.0,8.9", "12.1")
    }
    assert len(set(plans.values())) == 3
    with pytest.raises(BuildFailed, match=r"'fc' for Turing \(SM75\)") as caught:  # which has no FP32 products here
        built(source, tmp_path / "turing", target_capabilities="7.5,8.9")
    assert "target_capabilities" in caught.value.hint


def test_a_profile_costs_what_its_largest_shapes_take(tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    small, large = (
        BACKEND.describe(built(source, tmp_path / shapes, shapes=(shapes,))).memory for shapes in ("n=1:1:64", "n=1:1:4096")
    )
    assert large.activation_bytes > 4 * small.activation_bytes
    (block,) = large.layers
    assert block.layer.startswith("{ForeignNode[conv...")


@pytest.mark.parametrize("option", ["refit", "strip_weights"])
def test_what_needs_a_gpu_says_so(option, tmp_path):
    with pytest.raises(Unavailable, match="only where a GPU is") as caught:
        built(convolutions(tmp_path / "net.onnx"), tmp_path / "engine", **{option: True})
    assert "leave" in caught.value.hint.lower()


def test_a_precision_that_no_named_capability_has_is_refused(tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    with pytest.raises(Unavailable, match=r"FP8 needs compute capability 8\.9; the engine is asked for 7\.5, 8\.0"):
        built(source, tmp_path / "engine", precision=Precision.FP8, target_capabilities="8.0,7.5")
    noted = built(source, tmp_path / "other", precision=Precision.FP8).notes
    assert any("nothing tells whether the engine runs on 8.0, 8.6" in note for note in noted)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target_capabilities": "9.0"}, r"compute capability 9\.0"),
        ({"target_capabilities": "ada"}, "ada"),
        ({"memory_pools": "dla_managed_sram:64K"}, "dla_managed_sram"),
        ({"profiles": "m=3"}, "m"),
        ({"plugins": "/nowhere/libplugin.so"}, "/nowhere/libplugin.so"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_options_are_refused(options, words, tmp_path):
    with pytest.raises(InvalidRequest, match=words) as caught:
        built(convolutions(tmp_path / "net.onnx"), tmp_path / "engine", **options)
    assert caught.value.hint


def test_a_profile_that_contradicts_the_graph_is_refused(tmp_path):
    """Two inputs of one axis, joined by an Add that a length of 3 would break."""
    add = helper.make_node("Add", ["x", "w"], ["y"], name="add up")
    source = save(tmp_path / "add.onnx", [add], [("x", FLOAT, ["n"])], [("y", FLOAT, ["n"])], {"w": np.ones(5, "f")})
    with pytest.raises(BuildFailed) as caught:
        built(source, tmp_path / "engine", shapes=("n=3",))
    assert "add up" in caught.value.message
    assert caught.value.hint


def test_too_small_a_workspace_is_told(tmp_path):
    rng = np.random.default_rng(0)
    convolution = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1] * 4)
    weights = {"w": rng.normal(size=(64, 64, 3, 3)).astype("f")}
    source = save(
        tmp_path / "wide.onnx", [convolution], [("x", FLOAT, ["n", 64, 64, 64])], [("y", FLOAT, ["n", 64, 64, 64])], weights
    )
    with pytest.raises(BuildFailed, match="workspace") as caught:
        built(source, tmp_path / "engine", workspace_mb=1)
    assert "workspace_mb" in caught.value.hint


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("Det", ["x"], ["y"], name="the determinant"), "Det: the determinant"),
        (helper.make_node("Wavelet", ["x"], ["y"], name="wave", domain="com.acme"), "Wavelet: wave"),
        (helper.make_node("LpPool", ["x"], ["y"], name="lp", kernel_shape=[2, 2], p=3), "L1 and L2"),
    ],
    ids=["no translation", "another domain", "an attribute"],
)
def test_an_op_that_it_does_not_take_is_named(node, words, tmp_path):
    source = save(tmp_path / "odd.onnx", [node], [("x", FLOAT, [1, 2, 4, 4])], [("y", FLOAT, None)])
    with pytest.raises((UnsupportedOps, BuildFailed)) as caught:
        built(source, tmp_path / "engine", shapes=())
    assert words in caught.value.message
    assert ("plugin" in caught.value.hint) == ("lp" not in words.lower() and "L1" not in words)


def test_an_op_without_a_kernel_is_named(tmp_path):
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", "most"], ["y"], name="keep the best")
    source = save(
        tmp_path / "nms.onnx",
        [node],
        [("boxes", FLOAT, [1, 6, 4]), ("scores", FLOAT, [1, 1, 6])],
        [("y", TensorProto.INT64, ["kept", 3])],
        {"most": np.int64([3])},
    )
    with pytest.raises(UnsupportedOps, match="keep the best") as caught:
        built(source, tmp_path / "engine", shapes=())
    assert "plugin" in caught.value.hint


@pytest.mark.parametrize("kind", [TensorProto.UINT16, TensorProto.STRING])
def test_a_type_that_it_does_not_take_is_told(kind, tmp_path):
    node = helper.make_node("Identity", ["x"], ["y"], name="same")
    source = save(tmp_path / "typed.onnx", [node], [("x", kind, [4])], [("y", kind, [4])])
    with pytest.raises((UnsupportedOps, BuildFailed, InvalidRequest)) as caught:
        built(source, tmp_path / "engine", shapes=())
    assert caught.value.message.count("\n") == 0


def test_the_inspector_file_has_the_builders_words(tmp_path):
    """For those who read it elsewhere: the form of TensorRT 11's inspector."""
    engine = built(convolutions(tmp_path / "net.onnx"), tmp_path / "engine")
    told = json.loads((engine.folder / "inspector.json").read_text())
    assert told["Layers"][1].keys() >= {"Name", "LayerType", "Inputs", "Outputs", "TacticName", "StreamId", "Metadata"}
    assert [tensor["Name"] for tensor in told["I/O Tensors"]] == ["x", "y"]


def test_each_profile_tells_its_own_memory_and_the_largest_counts(tmp_path):
    """The smallest comes last, so the last figures of the log are not the engine's."""
    source = convolutions(tmp_path / "net.onnx")
    graph = BACKEND.describe(built(source, tmp_path / "engine", shapes=("n=8",), profiles="n=64:64:256;n=1"))
    memory = graph.memory
    assert len(memory.profile_bytes) == 3
    assert memory.profile_bytes[1] > memory.profile_bytes[0] > memory.profile_bytes[2]
    assert memory.activation_bytes == memory.profile_bytes[1]
    assert {layer.profile for layer in graph.layers} == {0, 1, 2}
    assert {layer.profile for layer in memory.layers} == {0, 1, 2}


def test_a_fixed_engine_tells_the_bytes_of_every_layer(tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    rows = layer_bytes(BACKEND.describe(built(source, tmp_path / "engine", shapes=("n=2",))))
    assert all(row.total is not None for row in rows)
    assert rows[0].inputs == 2 * 3 * 16 * 16 * 4
    assert rows[-1].outputs == 2 * 5 * 4
    constants = 4 * (8 * 3 * 3 * 3 + 8 * 5)
    assert sum(row.constants for row in rows) >= constants


def products(path):
    """What a text network does: values [n, 64, 16] laid in rows, [n * 64, 16], for its products."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="up"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MatMul", ["b", "v"], ["c"], name="down"),
        helper.make_node("Softmax", ["c"], ["y"], name="soft"),
    ]
    weights = {"w": rng.normal(size=(16, 32)).astype("f"), "v": rng.normal(size=(32, 8)).astype("f")}
    return save(path, nodes, [("x", FLOAT, ["n", 64, 16])], [("y", FLOAT, ["n", 64, 8])], weights)


@pytest.mark.parametrize("network", [convolutions, products])
def test_an_open_engine_tells_the_bytes_at_its_usual_lengths(network, tmp_path):
    """As many as the engine that is built for those alone."""
    source = network(tmp_path / "net.onnx")
    graphs = [
        BACKEND.describe(built(source, tmp_path / name, shapes=(shape,)))
        for name, shape in (("open", "n=1:2:8"), ("fixed", "n=2"))
    ]
    moved, exact = (Traffic(graph).total for graph in graphs)
    assert (moved.bytes, moved.untold, moved.open) == (exact.bytes, 0, True)
    assert exact.bytes > 0
    assert not exact.open
    assert all(row.total is not None for row in layer_bytes(graphs[0]))


def test_float64_is_computed_in_float32_and_said(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    ends = [("x", TensorProto.DOUBLE, [2, 4])], [("y", TensorProto.DOUBLE, [2, 3])]
    engine = built(save(tmp_path / "wide.onnx", [node], *ends, {"w": np.ones((4, 3))}), tmp_path / "engine", shapes=())
    assert "TensorRT-RTX has no float64: what the graph computes in it is computed in float32." in engine.notes
    assert not any("float64" in note for note in built(convolutions(tmp_path / "n.onnx"), tmp_path / "other").notes)


def test_an_input_of_another_type_is_named(tmp_path):
    node = helper.make_node("Identity", ["wave"], ["y"], name="same")
    source = save(tmp_path / "c.onnx", [node], [("wave", TensorProto.COMPLEX64, [4])], [("y", TensorProto.COMPLEX64, [4])])
    with pytest.raises(BuildFailed, match=r"takes no input of such a type: wave \(complex64\)\."):
        built(source, tmp_path / "engine", shapes=())


def test_an_input_that_is_handed_back_is_told(tmp_path):
    source = save(tmp_path / "p.onnx", [], [("x", FLOAT, [2])], [("x", FLOAT, [2])])
    with pytest.raises(BuildFailed, match="gives no input back as it is, as the graph does with x") as caught:
        built(source, tmp_path / "engine", shapes=())
    assert "Identity" in caught.value.hint


def test_a_node_that_nothing_carries_out_is_told_by_its_own_name(tmp_path):
    """The builder ends the name that it was given with a number of its own."""
    ends = [("b", FLOAT, [1, 10, 4]), ("s", FLOAT, [1, 1, 10])], [("o", TensorProto.INT64, ["k", 3])]
    node = helper.make_node("NonMaxSuppression", ["b", "s", "m"], ["o"], name="best, of [boxes]")
    source = save(tmp_path / "nms.onnx", [node], *ends, {"m": np.int64([5])})
    with pytest.raises(UnsupportedOps, match=r"has no kernel for node best, of \[boxes\]\."):
        built(source, tmp_path / "engine", shapes=())


def test_a_node_in_a_branch_is_told_with_its_owner(tmp_path):
    def branch(op):
        nodes = [helper.make_node(op, ["x"], ["i"], name="inner"), helper.make_node("Cast", ["i"], [f"{op}_o"], to=FLOAT)]
        return helper.make_graph(nodes, op, [], [helper.make_tensor_value_info(f"{op}_o", FLOAT, None)])

    chosen = helper.make_node("If", ["c"], ["y"], name="owner", then_branch=branch("NonZero"), else_branch=branch("Relu"))
    source = save(tmp_path / "if.onnx", [chosen], [("c", TensorProto.BOOL, []), ("x", FLOAT, [2, 4])], [("y", FLOAT, ["a", "b"])])
    with pytest.raises(UnsupportedOps, match="NonZero inside If: owner"):
        built(source, tmp_path / "engine", shapes=())
