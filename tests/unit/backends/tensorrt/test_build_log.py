"""The builder's own list of layers and its memory, from recorded logs of TensorRT-RTX, and what cannot be read of it."""

import json
from collections import Counter

import pytest

from bench.rtx_logs import messages, told_layers
from core.backends._tensorrt.build_log import LAYERS, UNREAD, layers_json, read_memory
from core.backends._tensorrt.constants import weight_bytes
from core.backends._tensorrt.inspector import CHOSEN_ON_DEVICE, read_inspector
from core.backends._tensorrt.names import profiles_in
from core.graph.engine_graph import LayerTensor
from core.graph.memory import EngineMemory, LayerMemory

LINE = (
    "Name: conv_myl0_2, LayerType: correlation, Inputs: [ { Name: x, Dimensions: [-1,3], Strides: [3,1], StrideOrder: [1,0], "
    "Datatype: Half, Format: (Linear) Row major linear format }], Constants: [], Outputs: [ { Name: y, Dimensions: [1,8], "
    "Strides: [8,1], StrideOrder: [1,0], Datatype: Half, Format: (NHWC) Channel major format }], "
    "TacticName: __myelin_CASK_STUB, StreamId: 1, Metadata: [ONNX Layer: conv]"
)
PLAIN = (
    "Name: [ShapeHostToDeviceCopy 0], LayerType: ShapeHostToDevice, Inputs: [], Outputs: [ { Name: y, Location: Device, "
    "Dimensions: [3], Datatype: Int64, Format: Format not available due to dynamic shapes }], ParameterType: ShapeH2D, "
    "shapeValues0: [3, 4, 5], TacticValue: 0x0000000000000000, StreamId: 0, Metadata: "
)


@pytest.mark.parametrize(
    ("name", "kinds", "ends"),
    [
        (
            "bert-fp16",
            {"gemm": 18, "kgen": 45, "runtime_fusion": 7, "shape_call": 1},
            ("attention_mask", "input_ids", "last_hidden_state", "pooled_output"),
        ),
        (
            "mobilenetv2-fp16",
            {"correlation": 34, "gemm": 1, "kgen": 3, "runtime_fusion": 18, "shape_call": 1},
            ("image", "probabilities"),
        ),
        ("mobilenetv2-int8", {"correlation": 52, "gemm": 1, "kgen": 54, "shape_call": 1}, ("image", "probabilities")),
        (
            "resnet50-int8",
            {"correlation": 53, "gemm": 1, "kgen": 51, "maxpool": 1, "shape_call": 1, "signal": 8, "wait": 8},
            ("image", "probabilities"),
        ),
    ],
)
def test_every_recorded_layer_is_read(name, kinds, ends):
    engine = read_inspector(layers_json(told_layers(name)))
    assert engine.unread == ()
    assert Counter(entry.layer.kind for entry in engine.layers) == kinds
    assert engine.bindings == ends
    for entry in engine.layers:
        assert all(tensor.dtype for tensor in (*entry.layer.inputs, *entry.layer.outputs)), entry.told_name


def test_a_layer_keeps_what_the_builder_told_layers():
    layers = read_inspector(layers_json(told_layers("resnet50-int8"))).layers
    convolution = next(entry for entry in layers if entry.layer.kind == "correlation")
    assert convolution.layer.kernel == CHOSEN_ON_DEVICE
    assert convolution.layer.precision == "int8"
    assert convolution.layer.inputs[0].dtype == "int8"
    assert convolution.layer.outputs[0] == LayerTensor(
        name="__myln_k_arg__bb1_33_myl0",
        dtype="float32",
        shape=None,
        format="(NHWC) Channel major format",
        lengths=(None, 64, 112, 112),
    )
    # 64 filters of 4 x 7 x 7 in INT8, and two scales in FP32 for each.
    assert convolution.layer.weight_bytes == 64 * 4 * 7 * 7 + 2 * 64 * 4
    assert convolution.layer.stream == 0
    signal, wait = (next(entry.layer for entry in layers if entry.layer.kind == kind) for kind in ("signal", "wait"))
    assert (signal.stream, signal.event, signal.precision) == (0, 1, None)
    assert (wait.stream, wait.event) == (1, 1)


def test_a_kernel_between_two_types_claims_neither():
    layers = [entry.layer for entry in read_inspector(layers_json(told_layers("mobilenetv2-int8"))).layers]
    quantizing = [
        layer
        for layer in layers
        if layer.kind == "kgen" and {t.dtype for t in (*layer.inputs, *layer.outputs)} == {"float32", "int8"}
    ]
    assert len(quantizing) > 20
    assert {layer.precision for layer in quantizing} == {None}
    assert {layer.precision for layer in layers if layer.kind in ("correlation", "gemm")} == {"int8"}


def test_memory_is_read_as_told_layers():
    block = "{ForeignNode[image_to_image_fp16...probabilities_fp16_to_probabilities]}"
    assert read_memory(messages("resnet50-int8")) == EngineMemory(
        weights_bytes=25_712_518,
        activation_bytes=75_792_384,
        scratch_bytes=75_792_384,
        device_persistent_bytes=0,
        host_persistent_bytes=80,
        layers=(LayerMemory(layer=block, scratch_bytes=75_792_384, host_persistent_bytes=80),),
    )


def test_several_profiles_cost_the_largest():
    memory = read_memory(messages("resnet50-fp16-two-profiles"))
    assert (memory.weights_bytes, memory.activation_bytes) == (55_263_872, 86_188_032)
    assert memory.profile_bytes == (20_398_080, 86_188_032)
    assert [(layer.scratch_bytes, layer.profile) for layer in memory.layers] == [(20_398_080, 0), (86_188_032, 1)]


@pytest.mark.parametrize("unit", ["", " bytes"])
@pytest.mark.parametrize("scratch", ["Total", "Max"])
def test_a_smaller_profile_at_the_end_hides_no_larger_one(unit, scratch):
    """As 8.5 to 10 word it, without units, and as 11 and TensorRT-RTX do; the figures of each profile follow its layers."""
    told = []
    for tag, figure in (("", 700), (" [profile 1]", 30)):
        told += [
            f"Layer: conv1 + relu1{tag} Host Persistent: {figure + 1}{unit} Device Persistent: 0{unit} "
            f"Scratch Memory: {figure}{unit}",
            "Skipped printing memory information for 3 layers with 0 memory size i.e. Host Persistent + Device Persistent + "
            "Scratch Memory == 0.",
            f"Total Host Persistent Memory: {figure + 1}{unit}",
            f"Total Device Persistent Memory: {figure + 2}{unit}",
            f"{scratch} Scratch Memory: {figure}{unit}",
            f"Total Activation Memory: {figure + 3}{unit}",
        ]
    memory = read_memory([*told, f"Total Weights Memory: 9000{unit}"])
    assert memory == EngineMemory(
        weights_bytes=9000,
        activation_bytes=703,
        scratch_bytes=700,
        device_persistent_bytes=702,
        host_persistent_bytes=701,
        profile_bytes=(703, 33),
        layers=(
            LayerMemory(layer="conv1 + relu1", scratch_bytes=700, host_persistent_bytes=701, profile=0),
            LayerMemory(layer="conv1 + relu1 [profile 1]", scratch_bytes=30, host_persistent_bytes=31, profile=1),
        ),
    )


def test_memory_of_older_versions_is_read_too():
    memory = read_memory(
        [
            "Layer: conv1 + relu1 Host Persistent: 1664 Device Persistent: 512 Scratch Memory: 1024",
            "Total Host Persistent Memory: 1664",
            "Total Device Persistent Memory: 512",
            "Total Scratch Memory: 1024",
            "Total Activation Memory: 4096",
        ]
    )
    assert memory is not None
    assert memory.layers == (
        LayerMemory(layer="conv1 + relu1", scratch_bytes=1024, device_persistent_bytes=512, host_persistent_bytes=1664),
    )
    assert (memory.weights_bytes, memory.context_bytes, memory.device_bytes(2)) == (None, 4608, None)
    assert read_memory(["Engine generation completed in 2 seconds."]) is None


def test_contexts_share_the_weights():
    memory = EngineMemory(weights_bytes=100, activation_bytes=10, device_persistent_bytes=1)
    assert [memory.device_bytes(contexts) for contexts in (1, 4)] == [111, 144]


def test_a_plain_layer_is_read():
    (layer,) = json.loads(layers_json(f"{LAYERS}{PLAIN}"))["Layers"]
    assert layer["ParameterType"] == "ShapeH2D"
    assert layer["shapeValues0"] == "[3, 4, 5]"
    assert layer["Outputs"] == [
        {
            "Name": "y",
            "Location": "Device",
            "Dimensions": [3],
            "Datatype": "Int64",
            "Format": "Format not available due to dynamic shapes",
        }
    ]


@pytest.mark.parametrize(
    "broken",
    [
        LINE.replace("LayerType: correlation", "LayerKind: correlation"),
        LINE.replace("Datatype: Half", "Datatype: Half?", 1),
        LINE.replace("Dimensions: [-1,3]", "Dimensions: [n,3]"),
        LINE.removesuffix(", Metadata: [ONNX Layer: conv]"),
        "Name: cut off in the mid",
    ],
)
def test_what_cannot_be_read_is_listed_and_the_rest_kept(broken):
    answer = json.loads(
        layers_json(f"{LAYERS}{LINE}\n{broken}\n{PLAIN}\nI/O Tensors:\n Name: x, IOMode: Input\nEngine Metadata:\n")
    )
    assert [layer["Name"] for layer in answer["Layers"]] == ["conv_myl0_2", "[ShapeHostToDeviceCopy 0]"]
    assert answer[UNREAD] == [broken]
    assert answer["I/O Tensors"] == [{"Name": "x"}]


@pytest.mark.parametrize("name", ["a, Dimensions", "a }, { b", "[1]", "a]", 'a"b', "a\nb", "a | b", "a: b, c", "ü"])
def test_odd_tensor_names_are_read_whole(name):
    (layer,) = json.loads(layers_json(LAYERS + LINE.replace("Name: x,", f"Name: {name},")))["Layers"]
    assert layer["Inputs"][0]["Name"] == name


def test_another_message_tells_no_layers():
    assert json.loads(layers_json("")) == {"Layers": [], "I/O Tensors": [], UNREAD: []}


@pytest.mark.parametrize(
    ("names", "profiles"),
    [
        (["a", "b_myl0_1"], [None, None]),
        (["conv", "conv [profile 1]", "relu", "relu [profile 1]"], [0, 1, 0, 1]),
        # Kernels that Myelin names itself go with the others of their block, and blocks without any by their number.
        (["er1_myl0_0", "__myl_Add_myl0_1", "__myl_Add_myl2_0", "er1 [profile 2]_myl2_1", "__myl_Add_myl1_0"], [0, 0, 2, 2, 1]),
        (["er1 [profile 1]_myl7_0", "__myl_Add_myl7_1", "__myl_Add_myl3_0"], [1, 1, 0]),
    ],
)
def test_the_profile_of_each_layer(names, profiles):
    assert profiles_in(names) == profiles


def test_constants_are_counted_where_they_are_told():
    assert weight_bytes({"Constants": []}) == 0
    assert weight_bytes({"Name": "pool"}) is None
    matrix, packed, unknown = (
        {"Dimensions": lengths, "Datatype": kind} for lengths, kind in (([64, 3], "Half"), ([5], "Int4"), ([-1, 3], "Half"))
    )
    assert weight_bytes({"Constants": [matrix, packed]}) == 64 * 3 * 2 + 3
    assert weight_bytes({"Constants": [matrix, unknown]}) is None
    assert weight_bytes({"Weights": {"Type": "Half", "Count": 9408}, "Bias": {"Type": "Float", "Count": 64}}) == 18_816 + 256
