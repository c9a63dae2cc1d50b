"""Every ONNX node of an engine is in a layer, or loose with a reason."""

import json
from collections import Counter
from pathlib import Path

import pytest

from core.backends._tensorrt.inspector import read_inspector
from core.backends._tensorrt.mapping import NAMED_BY, engine_graph
from core.backends._tensorrt.names import known_name, name_parts
from core.graph.engine_graph import Fate, SourceNode
from core.graph.source import SourceGraph

GOLDEN = Path(__file__).parents[3] / "golden/tensorrt"


def source_of(*nodes, outputs=("scores",), constants=("w",)):
    made = (SourceNode(name=n, op=op, inputs=tuple(i.split()), outputs=tuple(o.split())) for n, op, i, o in nodes)
    return SourceGraph(nodes=tuple(made), outputs=outputs, constants=constants)


FIVE = source_of(
    ("conv1", "Conv", "image w", "conv1_out"),
    ("relu1", "Relu", "conv1_out", "relu1_out"),
    ("scale1", "Mul", "relu1_out w", "scale1_out"),
    ("mean1", "ReduceMean", "scale1_out", "mean1_out"),
    ("fc1", "MatMul", "mean1_out w", "scores"),
)


def recorded_source(name):
    data = json.loads((GOLDEN / name).read_text())
    nodes = tuple(SourceNode(name=n, op=op, inputs=tuple(i), outputs=tuple(o)) for n, op, i, o in data["nodes"])
    return SourceGraph(nodes=nodes, constants=tuple(data["constants"]), outputs=tuple(data["outputs"]))


def engine_of(*layers):
    """Layers as (name, kind, inputs, outputs, metadata)."""
    told = [
        {
            "Name": name,
            "LayerType": kind,
            "Inputs": [{"Name": tensor, "Dimensions": [1], "Format/Datatype": "Float"} for tensor in inputs],
            "Outputs": [{"Name": tensor, "Dimensions": [1], "Format/Datatype": "Float"} for tensor in outputs],
            "Metadata": metadata,
        }
        for name, kind, inputs, outputs, metadata in layers
    ]
    return read_inspector(json.dumps({"Layers": told, "Bindings": []}))


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_real_resnet_is_accounted_for_to_the_last_node(precision):
    folder = GOLDEN / "tensorrt-8.5.3.1-h100"
    source = recorded_source("tensorrt-8.5.3.1-h100/keras-resnet50.nodes.json")
    engine = read_inspector((folder / f"keras-resnet50-{precision}.inspector.json").read_text())
    graph = engine_graph(engine, source)
    placed = Counter(name for layer in graph.layers for name in layer.source_nodes)
    assert graph.loose_nodes == ()
    assert set(placed) == {node.name for node in source.nodes}
    assert set(placed.values()) == {1}
    fused = next(layer for layer in graph.layers if layer.name.startswith("resnet50/conv5_block3_3_conv"))
    assert [name.rsplit("/", 1)[1] for name in fused.source_nodes] == ["Conv2D", "add", "Relu"]
    assert "51 nodes" not in " ".join(graph.notes)


@pytest.mark.parametrize(
    ("name", "layers", "inside", "folded"),
    [
        ("tensorrt-8.5.3.1-h100/sample-resnet50-int8", 65, 288, 54),
        ("tensorrt-8.5.3.1-h100/sample-bert-fp16", 1, 614, 285),
        ("tensorrt-8.5.3.1-h100/sample-mobilenetv2-int8", 59, 262, 53),
        ("tensorrt-8.5.3.1-h100/sample-efficientnetb0-fp16", 173, 277, 0),
        ("tensorrt-8.6.0-h100/sample-mobilenetv2-fp16", 61, 105, 0),
    ],
)
def test_quantized_opaque_and_simplified_engines_are_accounted_for(name, layers, inside, folded):
    graph = engine_graph(read_inspector((GOLDEN / f"{name}.inspector.json").read_text()), recorded_source(f"{name}.nodes.json"))
    assert len(graph.layers) == layers
    assert len({node for layer in graph.layers for node in layer.source_nodes}) == inside
    assert len(graph.loose_nodes) == folded == sum(node.fate is Fate.FOLDED for node in graph.loose_nodes)
    times = json.loads((GOLDEN / f"{name}.profile.json").read_text())
    assert set(times) <= {layer.name for layer in graph.layers}


@pytest.mark.parametrize(("name", "count"), [("resnet50", 53), ("mobilenetv2", 52)])
def test_a_quantized_engine_runs_every_convolution_in_int8(name, count):
    folder = "tensorrt-8.5.3.1-h100"
    source = recorded_source(f"{folder}/sample-{name}-int8.nodes.json")
    graph = engine_graph(read_inspector((GOLDEN / folder / f"sample-{name}-int8.inspector.json").read_text()), source)
    convolutions = {node.name for node in source.nodes if node.op == "Conv"}
    assert len(convolutions) == count
    assert (
        convolutions
        == {node for layer in graph.layers if layer.precision == "int8" for node in layer.source_nodes} & convolutions
    )


@pytest.mark.parametrize("version", [10, 11])
def test_documented_versions_map_every_node(version):
    engine = read_inspector((GOLDEN / f"documented/tensorrt-{version}.inspector.json").read_text())
    graph = engine_graph(engine, FIVE)
    assert graph.loose_nodes == ()
    assert {name for layer in graph.layers for name in layer.source_nodes} == {node.name for node in FIVE.nodes}


def test_a_block_is_opened_by_the_tensors_around_it():
    engine = engine_of(("{ForeignNode[(Unnamed Layer* 3) [Shuffle]...fc1]}", "Myelin", ["image"], ["scores"], ""))
    (layer,) = engine_graph(engine, FIVE).layers
    assert layer.source_nodes == ("conv1", "relu1", "scale1", "mean1", "fc1")
    assert layer.attributes[NAMED_BY] == "TensorRT's names (1) and the tensors around the layer (4)"


def test_a_block_whose_tensors_have_other_names_is_opened_by_its_ends():
    layers = (
        ("conv1 + relu1", "CaskConvolution", ["image"], ["hidden 1"], ""),
        ("{ForeignNode[scale1...fc1]}", "Myelin", ["hidden 1"], ["hidden 2"], ""),
    )
    graph = engine_graph(engine_of(*layers), FIVE)
    assert graph.layers[1].source_nodes == ("scale1", "mean1", "fc1")


def test_copies_lead_through_to_the_real_tensors():
    layers = (
        ("Reformatting CopyNode for Input Tensor 0 to fc1", "Reformat", ["image"], ["Reformatted Input Tensor 0 to fc1"], ""),
        ("something new", "Kgen", ["Reformatted Input Tensor 0 to fc1"], ["Reformatted Output Tensor 0 to fc1"], ""),
        ("Reformatting CopyNode for Output Tensor 0 to fc1", "Reformat", ["Reformatted Output Tensor 0 to fc1"], ["scores"], ""),
    )
    copy_in, middle, copy_out = engine_graph(engine_of(*layers), FIVE).layers
    assert copy_in.source_nodes == copy_out.source_nodes == ()
    assert len(middle.source_nodes) == 5


def test_nodes_in_no_layer_say_why():
    source = source_of(
        ("fold", "Add", "w w", "folded"),
        ("shape", "Shape", "image", "shape_out"),
        ("length", "Gather", "shape_out w", "length_out"),
        ("drop", "Dropout", "image", "dropped"),
        ("read", "Reshape", "dropped length_out", "reshaped"),
        ("dead", "Relu", "image", "unused"),
        ("lost", "Exp", "reshaped", "lost_out"),
        ("conv", "Conv", "lost_out folded", "scores"),
    )
    graph = engine_graph(engine_of(("conv", "CaskConvolution", ["lost_out"], ["scores"], "")), source)
    assert {node.name: node.fate for node in graph.loose_nodes} == {
        "fold": Fate.FOLDED,
        "shape": Fate.FOLDED,
        "length": Fate.FOLDED,
        "drop": Fate.ELIMINATED,
        "read": Fate.ELIMINATED,
        "dead": Fate.ELIMINATED,
        "lost": Fate.UNMAPPED,
    }
    assert all(node.reason.endswith(".") for node in graph.loose_nodes)
    assert [node.name for node in graph.unmapped] == ["lost"]


def test_a_node_in_several_layers_is_in_each():
    layers = (
        ("conv1", "CaskConvolution", ["image"], ["half 1"], "[ONNX Layer: conv1]"),
        ("conv1 #b", "CaskConvolution", ["image"], ["half 2"], "[ONNX Layer: conv1]\x1e[ONNX Layer: relu1]"),
    )
    graph = engine_graph(engine_of(*layers), FIVE)
    assert [layer.source_nodes for layer in graph.layers] == [("conv1",), ("conv1", "relu1")]


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("conv1 + relu1", ("conv1", "relu1")),
        ("w + w_QuantizeLinear + conv1 + PWN(relu1)", ("conv1", "relu1")),
        ("PWN(PWN(relu1), scale1)", ("relu1", "scale1")),
        ("conv1 || fc1", ("conv1", "fc1")),
        ("conv1 [profile 1]", ("conv1",)),
        ("relu1_clone_3", ("relu1",)),
        ("transpose_before_fc1 + fc1 + (Unnamed Layer* 4) [ElementWise]", ("fc1",)),
        ("reshape_after_fc1", ()),
        ("Reformatting CopyNode for Output Tensor 0 to conv1", ()),
        ("{ForeignNode[scale1...fc1]}", ("scale1", "fc1")),
        ("{ForeignNode[w + (Unnamed Layer* 7) [Shuffle]...mean1]}", ("mean1",)),
        ("{ForeignNode[fc1]}", ("fc1",)),
    ],
)
def test_names_are_taken_apart(name, nodes):
    assert name_parts(name, {node.name for node in FIVE.nodes}).nodes == nodes


def test_exact_names_come_before_shortened_ones():
    assert known_name("Conv_1", {"Conv", "Conv_1"}) == "Conv_1"
    assert known_name("Conv_2", {"Conv", "Conv_1"}) == "Conv"
    assert known_name("Gemm_1", {"Conv"}) is None
