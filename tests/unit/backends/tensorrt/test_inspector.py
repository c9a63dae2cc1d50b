"""The inspector's JSON of every version, recorded and documented."""

import json
from pathlib import Path

import pytest

from core.backends._tensorrt.inspector import onnx_names, read_inspector, unique_names
from core.base.errors import BuildFailed
from core.graph.engine_graph import LayerTensor

GOLDEN = Path(__file__).parents[3] / "golden/tensorrt"


def golden(name):
    return read_inspector((GOLDEN / f"{name}.inspector.json").read_text())


@pytest.mark.parametrize(
    ("name", "layers", "bindings"),
    [
        ("tensorrt-8.5.3.1-h100/keras-resnet50-fp16", 63, ("x", "predictions")),
        ("tensorrt-8.5.3.1-h100/keras-resnet50-fp32", 60, ("x", "predictions")),
        ("tensorrt-8.6.0-h100/resnet50-fp16", 153, ("x", "y")),
        ("tensorrt-8.6.0-h100/resnet50-b8-int8-qdq", 151, ("x", "y")),
        ("tensorrt-8.6.0-h100/mobilenet_v2-fp16", 138, ("x", "y")),
        ("tensorrt-8.6.0-h100/bert_base-fp16", 2, ("ids", "mask", "h")),
        ("documented/tensorrt-10", 4, ("image", "scores")),
        ("documented/tensorrt-11", 2, ("image", "scores")),
    ],
)
def test_every_layer_is_read_with_unique_names_and_typed_tensors(name, layers, bindings):
    engine = golden(name)
    assert len(engine.layers) == layers
    assert engine.bindings == bindings
    assert engine.detailed
    names = [entry.layer.name for entry in engine.layers]
    assert len(set(names)) == len(names)
    for entry in engine.layers:
        for tensor in (*entry.layer.inputs, *entry.layer.outputs):
            assert tensor.dtype, (entry.layer.name, tensor)
            assert tensor.shape is not None


def test_a_layer_keeps_what_trt_told():
    layer = golden("tensorrt-8.6.0-h100/resnet50-fp16").layers
    conv = next(entry for entry in layer if entry.told_name == "/conv1/Conv + /relu/Relu")
    assert conv.layer.kind == "CaskConvolution"
    assert conv.layer.precision == "float16"
    assert conv.layer.kernel is not None
    assert conv.layer.kernel.startswith("sm80_xmma_fprop_implicit_gemm_indexed_wo_smem_f16f16")
    assert conv.layer.attributes["TacticValue"] == "0x112767cf498572ea"
    assert conv.layer.attributes["Weights"] == '{"Type": "Half", "Count": 9408}'
    assert conv.onnx_nodes == ("/conv1/Conv", "/relu/Relu")
    assert conv.layer.outputs == (
        LayerTensor(
            name="/relu/Relu_output_0",
            dtype="float16",
            shape=(1, 64, 112, 112),
            format="Channel major FP16 format where channel % 8 == 0",
        ),
    )


def test_precisions_are_what_the_kernel_computes_in():
    int8 = golden("tensorrt-8.6.0-h100/resnet50-b8-int8-qdq")
    told = {entry.layer.precision for entry in int8.layers if entry.layer.kind.startswith("Cask")}
    assert told == {"int8"}
    fp32 = golden("tensorrt-8.5.3.1-h100/keras-resnet50-fp32")
    assert {entry.layer.precision for entry in fp32.layers} == {"float32", None}
    assert {entry.layer.precision for entry in fp32.layers if entry.layer.kind == "NoOp"} == {None}
    mobilenet = golden("tensorrt-8.6.0-h100/mobilenet_v2-fp16")
    assert sum(entry.layer.precision == "tf32" for entry in mobilenet.layers) == 5


def test_profiles_join_by_name():
    engine = golden("tensorrt-8.6.0-h100/resnet50-b8-int8-qdq")
    times = json.loads((GOLDEN / "tensorrt-8.6.0-h100/resnet50-b8-int8-qdq.profile.json").read_text())
    assert {entry.told_name for entry in engine.layers} == set(times)


def test_version_11_keeps_type_and_layout_apart():
    conv, block = golden("documented/tensorrt-11").layers
    assert conv.layer.inputs[0].dtype == "bfloat16"
    assert conv.layer.inputs[0].format == "Row major linear format (kLINEAR)"
    assert conv.onnx_nodes == ("conv1", "relu1")
    assert block.layer.outputs[0].dtype == "float32"


def test_entries_of_metadata_are_cut_at_the_bar():
    assert onnx_names("[ONNX Layer: a/b[0] | [network layer 3]]\x1e[ONNX Layer: c]\x1f[ONNX Layer: a/b[0]]") == ("a/b[0]", "c")
    assert onnx_names("") == ()
    assert onnx_names("[ONNX Layer: cut off in the mid") == ()


def test_an_engine_without_detail_is_a_list_of_names():
    engine = read_inspector('{"Layers": ["conv", "conv", "soft\\u001emax"], "Bindings": ["x"]}')
    assert [entry.layer.name for entry in engine.layers] == ["conv", "conv #2", "soft max"]
    assert not engine.detailed


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"Bindings": []}'])
def test_anything_else_is_refused(text):
    with pytest.raises(BuildFailed, match="could not be read"):
        read_inspector(text)


def test_names_are_fit_for_display():
    assert unique_names(["a", "a", "b\x1ec", ""]) == ["a", "a #2", "b c", "(unnamed)"]
