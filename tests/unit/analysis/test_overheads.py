"""What reduced precision costs around the layers that gain by it, in real engines of TensorRT-RTX and TensorRT 8."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.analysis.finding import Finding, FindingKind
from core.analysis.findings import findings
from core.analysis.kernels import (
    brings_from_quantized,
    brings_to_quantized,
    computes_quantized,
    is_fused_attention,
    is_weighted,
    mixes_floats,
    only_casts,
    only_moves,
    operations,
)
from core.base.precision import Precision
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode
from tests.unit.analysis.engines import inspected, listed

# Elements that ResNet-50's convolutions write for one picture, stage by stage.
RESNET = (
    64 * 112**2
    + 3 * (2 * 64 + 256) * 56**2 + 256 * 56**2
    + 4 * (2 * 128 + 512) * 28**2 + 512 * 28**2
    + 6 * (2 * 256 + 1024) * 14**2 + 1024 * 14**2
    + 3 * (2 * 512 + 2048) * 7**2 + 2048 * 7**2
)  # fmt: skip
# Elements that MobileNetV2's depthwise convolutions read, and of those only what the model has.
MOBILENET = (32 + 96) * 112**2 + 2 * 144 * 56**2 + 3 * 192 * 28**2 + (4 * 384 + 3 * 576) * 14**2 + 3 * 960 * 7**2


def made(kind: str, into: str, out: str, name: str = "l", lengths: tuple[int, ...] = (4,)) -> Layer:
    inputs = (LayerTensor(name=f"{name} in", dtype=into, shape=lengths),)
    outputs = (LayerTensor(name=f"{name} out", dtype=out, shape=lengths),)
    return Layer(name=name, kind=kind, kernel=name if name.startswith("_") else None, inputs=inputs, outputs=outputs)


def generated(operations: str, into: str, out: str) -> Layer:
    return made("kgen", into, out, f"__myl_{operations}_0x4594d28d120ea599345661ee7948b478")


def found(graph: EngineGraph, kind: FindingKind) -> Finding:
    (finding,) = (one for one in findings(graph) if one.kind is kind)
    return finding


def kinds(graph: EngineGraph) -> set[FindingKind]:
    return {finding.kind for finding in findings(graph)}


def test_a_generated_kernels_name_says_what_it_does() -> None:
    assert operations(generated("MulCastAddMaxrSubEtc", "float16", "float16")) == ("Mul", "Cast", "Add", "Maxr", "Sub", "Etc")
    fusion = Layer(name="__myl_FcAddRelu_myl0_43", kind="runtime_fusion")
    assert operations(fusion) == ("Fc", "Add", "Relu")
    assert is_weighted(fusion)
    assert operations(made("correlation", "int8", "float32")) == ()


@pytest.mark.parametrize(
    "kind", ["correlation", "gemm", "CaskConvolution", "CudaDepthwiseConvolution", "CaskGemmConvolution", "QLinearConv", "QGemm"]
)
def test_convolutions_and_products_are_told_by_their_kind(kind: str) -> None:
    assert is_weighted(made(kind, "int8", "int8"))
    assert computes_quantized(made(kind, "int8", "int8"))
    assert not computes_quantized(made(kind, "float16", "float16"))


@pytest.mark.parametrize("kind", ["Convert", "Reformat", "PointWiseV2", "kgen"])
def test_what_converts_is_no_convolution(kind: str) -> None:
    assert not is_weighted(made(kind, "float32", "int8"))


@pytest.mark.parametrize(
    ("layer", "to", "from_"),
    [
        (generated("MulCastAddReluMulMinMaxRounCast", "float32", "int8"), True, False),
        (generated("MulMinMaxRounCast", "float16", "int8"), True, False),
        (generated("MulCast", "float32", "float8_e4m3fn"), True, False),
        (generated("CastMulAdd", "int8", "float16"), False, True),
        (generated("MeanMulMinMaxRounCast", "float16", "int8"), False, False),  # pooling is work
        (generated("AddMeanSubMulMinMaxRounCast", "float16", "int8"), False, False),  # a LayerNorm is too
        (generated("CorrMulMinMaxRounCast", "int8", "int8"), False, False),
        (generated("MoveReshTran", "int8", "int8"), False, False),
        (made("Reformat", "float32", "int8"), True, False),
        (made("Reformat", "int8", "float16"), False, True),
        (made("QuantizeLinear", "float32", "uint8"), True, False),
        (made("CaskPooling", "float16", "int8"), False, False),
        (made("Myelin", "float16", "int8"), False, False),
    ],
)
def test_kernels_that_only_quantize(layer: Layer, to: bool, from_: bool) -> None:
    assert (brings_to_quantized(layer), brings_from_quantized(layer)) == (to, from_)


def test_casts_layouts_and_attention() -> None:
    assert only_casts(generated("CastTran", "float32", "float16"))
    assert only_casts(made("Cast", "float16", "float32"))
    assert not only_casts(generated("CastAdd", "float32", "float16"))
    assert mixes_floats(generated("CastAdd", "float32", "float16"))
    assert not mixes_floats(generated("CastMulMinMaxRounCast", "float32", "int8"))
    assert only_moves(generated("MoveReshTran", "float16", "float16"))
    assert not only_moves(generated("ReplReplConc", "float16", "float16"))  # that is padding
    assert is_fused_attention(made("kgen", "float16", "float16", "_gemm_mha_v2_0x3b8c56"))


def test_convolutions_that_write_float_for_the_next_kernel_to_quantize() -> None:
    finding = found(listed("resnet50-int8"), FindingKind.FLOAT_BETWEEN)
    assert finding.moved is not None
    # All but the last, behind which the mean is taken too: four bytes, written and read.
    assert finding.moved.bytes == 8 * (RESNET - 2048 * 7**2) == 83_894_272
    assert len(finding.layers) == 52
    assert finding.message == (
        "52 layers compute in int8 and write float32, which the next kernel only quantizes: 83.9 MB are written and read in "
        "between, 21.0 MB if they were int8."
    )
    assert finding.nodes[0].endswith("conv1_conv_1/convolution/Conv")


def test_kernels_that_stand_apart_with_their_bytes() -> None:
    finding = found(listed("mobilenetv2-int8"), FindingKind.QUANTIZING)
    assert len(finding.layers) == 52
    assert finding.message.startswith("52 kernels of 107 carry out no convolution or product")
    assert finding.message.endswith("They read and write 45.3 MB of the 90.3 MB that all layers do.")


def test_depthwise_convolutions_read_channels_that_the_model_has_not() -> None:
    finding = found(listed("mobilenetv2-int8"), FindingKind.PADDED)
    assert finding.moved is not None
    assert finding.moved.bytes == 2 * 4 * MOBILENET == 29_929_984
    assert len(finding.layers) == 17
    assert all("depthwise" in name for name in finding.layers)


def test_fp16_engines_have_none_of_it() -> None:
    assert findings(listed("mobilenetv2-fp16"), Precision.FP16) == []
    assert findings(inspected("tensorrt-8.5.3.1-h100/keras-resnet50-fp16")) == []


@pytest.mark.parametrize("name", ["sample-resnet50-int8", "sample-mobilenetv2-int8"])
def test_where_convolutions_write_int8_only_the_ends_are_quantized_apart(name: str) -> None:
    engine = inspected(f"tensorrt-8.5.3.1-h100/{name}")
    assert kinds(engine) == {FindingKind.QUANTIZING}
    assert len(found(engine, FindingKind.QUANTIZING).layers) <= 3


def test_reformats_of_constants_are_named_as_such() -> None:
    finding = found(inspected("tensorrt-8.6.0-h100/resnet50-b8-int8-qdq"), FindingKind.REFORMATS)
    assert finding.message.startswith("47 of 151 layers only change the memory layout, 47 of them that of constants")
    assert "simplify the graph" in finding.hint


def test_float_that_something_else_reads_too_is_not_between_quantized_layers() -> None:
    wide = LayerTensor(name="wide", dtype="float32", shape=(1, 8, 4, 4))
    narrow = LayerTensor(name="narrow", dtype="int8", shape=(1, 8, 4, 4))
    convolution = Layer(name="conv", kind="correlation", inputs=(narrow,), outputs=(wide,))
    quantizer = replace(generated("MulMinMaxRounCast", "float32", "int8"), name="q", inputs=(wide,))
    other = Layer(name="mean", kind="kgen", kernel="__myl_Mean_0x1", inputs=(wide,), outputs=(wide,))
    alone = EngineGraph(layers=(convolution, quantizer), source_nodes=())
    assert FindingKind.FLOAT_BETWEEN in kinds(alone)
    assert FindingKind.FLOAT_BETWEEN not in kinds(replace(alone, layers=(convolution, quantizer, other)))
    assert FindingKind.FLOAT_BETWEEN not in kinds(replace(alone, layers=(convolution,)))


def test_where_floats_of_two_widths_meet() -> None:
    """A sum kept in FP32 between two halves in FP16; the engine's own ends count for nothing."""
    names = ("image", "a", "b", "c", "scores")
    widths = ("float32", "float16", "float32", "float16", "float32")
    image, a, b, c, scores = (LayerTensor(name=n, dtype=d, shape=(1, 1000)) for n, d in zip(names, widths, strict=True))
    layers = (
        Layer(name="in", kind="kgen", kernel="__myl_Cast_0x1", inputs=(image,), outputs=(a,)),
        Layer(name="widen", kind="kgen", kernel="__myl_Cast_0x2", inputs=(a,), outputs=(b,), source_nodes=("sum",)),
        Layer(name="sum", kind="kgen", kernel="__myl_AddCast_0x3", inputs=(b,), outputs=(c,), source_nodes=("sum",)),
        Layer(name="out", kind="kgen", kernel="__myl_Cast_0x4", inputs=(c,), outputs=(scores,)),
    )
    finding = found(EngineGraph(layers=layers, source_nodes=(SourceNode(name="sum", op="Add"),)), FindingKind.MIXED)
    assert finding.layers == ("widen", "sum")
    assert finding.message == (
        "2 kernels of 4 stand between float32 and float16, 1 of them only to cast; 8.0 kB are moved in float32 between layers."
    )
    assert finding.nodes == ("sum",)


def test_times_decide_where_there_are_some() -> None:
    engine = listed("resnet50-int8")
    times = {layer.name: 1.0 for layer in engine.layers}
    quick = times | dict.fromkeys(found(engine, FindingKind.QUANTIZING).layers, 0.001)
    assert FindingKind.QUANTIZING not in {one.kind for one in findings(engine.with_times(quick))}
    slow = [one for one in findings(engine.with_times(times)) if one.kind is FindingKind.QUANTIZING]
    assert slow[0].share == pytest.approx(49 / 123)
    assert slow[0].message.endswith("that all layers do, 40% of the time.")


def test_without_shapes_bytes_are_not_told() -> None:
    def blind(tensors: tuple[LayerTensor, ...]) -> tuple[LayerTensor, ...]:
        return tuple(replace(one, shape=None, lengths=None) for one in tensors)

    engine = listed("resnet50-int8")
    layers = tuple(replace(layer, inputs=blind(layer.inputs), outputs=blind(layer.outputs)) for layer in engine.layers)
    finding = found(replace(engine, layers=layers), FindingKind.FLOAT_BETWEEN)
    assert finding.message.endswith("only quantizes: how many bytes are written and read in between is not told.")
