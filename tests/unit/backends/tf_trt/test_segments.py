"""Which TensorFlow nodes a converted graph has in its engines, from GraphDefs as TF-TRT writes them."""

import warnings

import pytest

from core.backends.tf_trt._convert import profile_samples
from core.backends.tf_trt._segments import ENGINE_OP, engine_graph, read_report, segments, source_nodes
from core.base.profile import parse_profile
from core.base.tensors import Signature, TensorSpec
from core.graph.engine_graph import Fate

# As TensorFlow 2.14 writes it.
REPORT = """OP Name|Reason|Count
NoOp|Converter for op NoOp not found.|2
Unique|Op type Unique is not supported|1
"""


@pytest.fixture(scope="module")
def graphs():
    """A graph of six nodes before and after: a convolution with its activation in one engine, the rest outside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorflow.core.framework.graph_pb2 import GraphDef

    def graph(*nodes):
        made = GraphDef()
        for name, op, *inputs in nodes:
            node = made.node.add(name=name, op=op)
            node.input.extend(inputs)
        return made

    before = graph(
        ("x", "Placeholder"),
        ("w", "Const"),
        ("conv", "Conv2D", "x", "w"),
        ("relu", "Relu", "conv"),
        ("unique", "Unique", "relu"),
        ("Identity", "Identity", "unique:0", "^noop"),
        ("gone", "Squeeze", "relu"),
    )
    after = graph(
        ("x", "Placeholder"),
        ("TRTEngineOp_000_000", ENGINE_OP, "x"),
        ("unique", "Unique", "TRTEngineOp_000_000"),
        ("Identity", "Identity", "unique:0"),
    )
    engine = after.node[1]
    engine.attr["segment_func"].func.name = "TRTEngineOp_000_000_native_segment"
    engine.attr["precision_mode"].s = b"FP16"
    engine.attr["workspace_size_bytes"].i = 1024
    function = after.library.function.add()
    function.signature.name = "TRTEngineOp_000_000_native_segment"
    for name, op in (("TensorRTInputPH_0", "Placeholder"), ("w", "Const"), ("conv", "Conv2D"), ("relu", "Relu")):
        function.node_def.add(name=name, op=op)
    return source_nodes(before), after


def test_segments_hold_the_models_nodes_alone(graphs):
    ((name, nodes),) = segments(graphs[1]).items()
    assert (name, [node.name for node in nodes]) == ("TRTEngineOp_000_000", ["w", "conv", "relu"])


def test_every_node_is_in_an_engine_outside_or_accounted_for(graphs):
    source, after = graphs
    graph = engine_graph(source, after, read_report(REPORT))
    engine = next(layer for layer in graph.layers if layer.kind == ENGINE_OP)
    assert engine.source_nodes == ("w", "conv", "relu")
    assert engine.precision == "float16"
    assert engine.attributes == {"ops inside": "1 Const, 1 Conv2D, 1 Relu", "workspace_size_bytes": "1024"}
    outside = {layer.name: layer.attributes["why not in an engine"] for layer in graph.layers if layer.kind != ENGINE_OP}
    assert outside == {
        "x": "It is an input of the model.",
        "unique": "Op type Unique is not supported.",
        "Identity": "It passes a tensor to an output.",
    }
    assert {node.name: node.fate for node in graph.loose_nodes} == {"gone": Fate.ELIMINATED}
    assert graph.notes == ("3 of 7 TensorFlow nodes run in 1 TensorRT engines.",)


def test_what_the_optimizer_folded_is_found_where_its_result_is_computed():
    """A convolution's scale goes into its weights, and the convolution takes the multiplication's name."""
    from tensorflow.core.framework.graph_pb2 import GraphDef

    before, after = GraphDef(), GraphDef()
    nodes = {
        "x": "Placeholder",
        "w": "Const",
        "variance": "Const",
        "root": "Rsqrt",
        "conv": "Conv2D",
        "pass": "Identity",
        "scaled": "Mul",
    }
    inputs = {"root": ["variance"], "conv": ["x", "w"], "pass": ["conv"], "scaled": ["pass", "root"]}
    for name, op in nodes.items():
        before.node.add(name=name, op=op).input.extend(inputs.get(name, []))
    after.node.add(name="x", op="Placeholder")
    engine = after.node.add(name="TRTEngineOp_000_000", op=ENGINE_OP)
    engine.attr["segment_func"].func.name = "native"
    function = after.library.function.add()
    function.signature.name = "native"
    function.node_def.add(name="scaled", op="Conv2D")
    graph = engine_graph(source_nodes(before), after, {})
    assert next(layer for layer in graph.layers if layer.kind == ENGINE_OP).source_nodes == ("conv", "scaled")
    assert {node.name: node.fate for node in graph.loose_nodes} == {
        "w": Fate.FOLDED,
        "variance": Fate.FOLDED,
        "root": Fate.FOLDED,
        "pass": Fate.ELIMINATED,
    }


def test_what_may_be_in_one_engine_or_another_is_in_none_for_sure():
    from tensorflow.core.framework.graph_pb2 import GraphDef

    before, after = GraphDef(), GraphDef()
    for name, op, *inputs in (("x", "Placeholder"), ("lost", "Pad", "x"), ("left", "Relu", "lost"), ("right", "Tanh", "lost")):
        before.node.add(name=name, op=op).input.extend(inputs)
    after.node.add(name="x", op="Placeholder")
    for name in ("left", "right"):
        engine = after.node.add(name=f"TRTEngineOp_{name}", op=ENGINE_OP)
        engine.attr["segment_func"].func.name = f"{name}_segment"
        function = after.library.function.add()
        function.signature.name = f"{name}_segment"
        function.node_def.add(name=name, op="Relu")
    graph = engine_graph(source_nodes(before), after, {})
    assert {node.name: node.fate for node in graph.loose_nodes} == {"lost": Fate.UNMAPPED}


def test_control_inputs_are_no_tensors(graphs):
    assert next(node for node in graphs[0] if node.name == "Identity").inputs == ("unique",)


def test_the_report_is_read_by_op():
    assert read_report(REPORT) == {
        "NoOp": {"Converter for op NoOp not found.": 2},
        "Unique": {"Op type Unique is not supported": 1},
    }
    assert read_report("OP Name|Reason|Count\nPad|constant|mode of a|b|3\n") == {"Pad": {"constant|mode of a|b": 3}}
    assert read_report("OP Name,Reason,Count\nPad,mode a, or b,3\n") == {"Pad": {"mode a, or b": 3}}
    assert read_report("") == {}


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ("Cast|no converter|3", "no converter."),
        ("Cast|no converter.|1", "1 of these Cast: no converter. The other 2: TF-TRT could convert it"),
        ("Cast|no converter|1\nCast|not on the GPU|2", "1 of these Cast: no converter. 2 of these Cast: not on the GPU."),
        ("Unique|no converter|1", "TF-TRT could convert it"),
        ("", "TF-TRT did not say why."),
    ],
)
def test_ops_outside_say_how_many_a_reason_holds_for(report, why):
    found = set(reasons_of(report, ("a", "b", "c")).values())
    assert len(found) == 1
    assert found.pop().startswith(why)


def test_a_reason_that_names_its_op_is_told_of_that_op_alone():
    """As TensorFlow 2.14.1 reported two of an encoder's comparisons."""
    report = (
        "Cast|Convertion for Binary op: 'Less' is not supported in implicit batch mode, at tokens_1/Less|1\n"
        "Cast|implicit batch mode requires input shape with at least two dimensions|1"
    )
    assert reasons_of(report, ("tokens_1/Less", "Less")) == {
        "tokens_1/Less": "Convertion for Binary op: 'Less' is not supported in implicit batch mode.",
        "Less": "implicit batch mode requires input shape with at least two dimensions.",
    }
    assert reasons_of(report, ("tokens_1/Less", "Less", "x"))["x"].startswith("1 of these Cast: implicit batch mode")


def reasons_of(report, names):
    """What each of several ops of one type says, none of them in an engine."""
    from tensorflow.core.framework.graph_pb2 import GraphDef

    graph = GraphDef()
    for name in names:
        graph.node.add(name=name, op="Cast")
    told = read_report(f"OP Name|Reason|Count\n{report}\n" if report else "")
    layers = engine_graph(source_nodes(graph), graph, told).layers
    return {layer.name: layer.attributes["why not in an engine"] for layer in layers}


def test_what_only_an_implicit_batch_axis_keeps_out_is_counted(graphs):
    report = (
        "OP Name|Reason|Count\nShape|Shape is only supported for explicit batch mode.|16\nPack|implicit batch mode requires|2\n"
    )
    notes = engine_graph(*graphs, read_report(report)).notes
    assert notes[1].startswith("18 ops stay with TensorFlow because engines for one shape have an implicit batch axis.")
    assert "dynamic_shapes=true" in notes[1]


def test_engines_are_shown_each_shape_once():
    signature = Signature(name="s", inputs=(TensorSpec(name="x", dtype="int32", shape=("batch", 3)),), outputs=())

    def shapes(text, limit):
        return [sample["x"].shape for sample in profile_samples(signature, parse_profile([text]), limit)]

    assert shapes("batch=4", 3) == [(4, 3)]
    assert shapes("batch=1:4:8", 3) == [(4, 3), (8, 3), (1, 3)]
    assert shapes("batch=1:4:8", 1) == [(4, 3)]
