"""What placements do to real engines of TensorRT-RTX, and what the findings see of it: no GPU is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.analysis.finding import FindingKind
from core.analysis.findings import findings
from core.analysis.standing import Standing, standing
from core.backends.base import BuildConfig
from core.backends.tensorrt_rtx import BACKEND
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import silent
from core.graph.engine_graph import EngineGraph
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.precision.prepare import prepare
from core.precision.settings import DEFAULTS, Placement, PrecisionSettings
from core.precision.target import parse_target

HERE = BACKEND.availability()
pytestmark = pytest.mark.skipif(not HERE.available, reason=f"{HERE.reason} {HERE.hint}")
FLOAT = TensorProto.FLOAT
PIXELS = 32


Shapes = tuple[list[object], list[object]]


def save(path: Path, nodes: list[onnx.NodeProto], shapes: Shapes, weights: dict[str, np.ndarray]) -> Path:
    ends = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in zip("xy", shapes, strict=True)]
    initializers = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "main", ends[:1], ends[1:], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9), path)
    return path


def mobile_block(path: Path) -> Path:
    """Expanded, depthwise and projected, as MobileNet has it, and a last convolution of many weights."""
    rng = np.random.default_rng(0)
    weights = {
        "expand": rng.normal(0, 0.2, (32, 16, 1, 1)),
        "depth": rng.normal(0, 0.3, (32, 1, 3, 3)),
        "project": rng.normal(0, 0.2, (16, 32, 1, 1)),
        "heavy": rng.normal(0, 0.05, (256, 16, 8, 8)),
        "b": rng.normal(0, 0.1, 32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "expand", "b"], ["e"], name="expand"),
        helper.make_node("Relu", ["e"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "depth"], ["d"], name="depthwise", group=32, pads=[1] * 4),
        helper.make_node("Relu", ["d"], ["s"], name="relu2"),
        helper.make_node("Conv", ["s", "project"], ["p"], name="project"),
        helper.make_node("Conv", ["p", "heavy"], ["y"], name="heavy", strides=[8, 8]),
    ]
    return save(path, nodes, (["batch", 16, PIXELS, PIXELS], ["batch", 256, 4, 4]), weights)


def attention(path: Path) -> Path:
    """One block of self-attention over 128 tokens of 128, with two heads."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(0, 0.05, (128, 128)) for name in ("wq", "wk", "wv", "wo")}
    shapes = {"heads": np.array([1, 128, 2, 64], np.int64), "flat": np.array([1, 128, 128], np.int64)}
    nodes = []
    for one in "qkv":
        order = [0, 2, 3, 1] if one == "k" else [0, 2, 1, 3]
        nodes += [
            helper.make_node("MatMul", ["x", f"w{one}"], [f"{one}0"], name=f"project_{one}"),
            helper.make_node("Reshape", [f"{one}0", "heads"], [f"{one}1"], name=f"split_{one}"),
            helper.make_node("Transpose", [f"{one}1"], [one], name=f"turn_{one}", perm=order),
        ]
    nodes += [
        helper.make_node("MatMul", ["q", "k"], ["s"], name="scores"),
        helper.make_node("Mul", ["s", "eighth"], ["t"], name="scale"),
        helper.make_node("Softmax", ["t"], ["u"], name="softmax", axis=-1),
        helper.make_node("MatMul", ["u", "v"], ["z"], name="weighted"),
        helper.make_node("Transpose", ["z"], ["z1"], name="turn_back", perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["z1", "flat"], ["z2"], name="join"),
        helper.make_node("MatMul", ["z2", "wo"], ["y"], name="output"),
    ]
    made = save(path, nodes, ([1, 128, 128], [1, 128, 128]), {**weights, "eighth": np.array(0.125)})
    model = onnx.load(made)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in shapes.items())
    onnx.save(model, made)
    return made


def built(path: Path, folder: Path, precision: Precision, settings: PrecisionSettings = DEFAULTS) -> EngineGraph:
    graph, engine = folder / "graph", folder / "engine"
    graph.mkdir(parents=True)
    engine.mkdir()
    made = prepare(path, graph, precision, target=parse_target(BACKEND.target(HERE.version)), settings=settings)
    source = Source(path=graph / made.entry, format=Format.ONNX, signature=graph_signature(read_onnx(graph / made.entry)))
    profile = parse_profile(["batch=1"] if "batch" in source.signature.symbols else []).complete(source.signature)
    return BACKEND.describe(BACKEND.build(source, BuildConfig(precision=precision, profile=profile), engine, silent))


def placed(path: Path, folder: Path, *placements: Placement) -> tuple[set[FindingKind], Standing]:
    graph = built(path, folder, Precision.INT8, replace(DEFAULTS, placement=placements))
    assert graph.unmapped == ()
    return {one.kind for one in findings(graph, Precision.INT8)}, standing(graph)


def test_each_placement_mends_what_it_is_offered_for(tmp_path: Path) -> None:
    path = mobile_block(tmp_path / "net.onnx")
    kinds, by_rules = placed(path, tmp_path / "rules")
    assert {FindingKind.FLOAT_BETWEEN, FindingKind.QUANTIZING, FindingKind.PADDED} <= kinds
    assert by_rules.quantized == 4

    _, behind = placed(path, tmp_path / "behind", Placement.SCALES_BEHIND)
    # Each of three convolutions writes two bytes an element where it wrote four, and the next kernel reads as many less.
    spared = 2 * 2 * (32 + 32 + 16) * PIXELS**2
    assert behind.moved.bytes <= by_rules.moved.bytes - spared
    assert (behind.layers, behind.quantized) == (by_rules.layers, by_rules.quantized)

    kinds, unpadded = placed(path, tmp_path / "depthwise", Placement.FLOAT_DEPTHWISE)
    assert FindingKind.PADDED not in kinds
    assert unpadded.quantized == 3
    assert unpadded.moved.bytes < by_rules.moved.bytes

    _, heavy = placed(path, tmp_path / "heavy", Placement.HEAVY_ONLY)
    assert heavy.quantized == 1
    assert heavy.layers < by_rules.layers
    assert heavy.quantizing < by_rules.quantizing
    assert heavy.moved.bytes < unpadded.moved.bytes


def test_fp8_convolutions_write_fp16_too_with_their_scales_behind(tmp_path: Path) -> None:
    path = mobile_block(tmp_path / "net.onnx")
    settings = replace(DEFAULTS, placement=(Placement.SCALES_BEHIND,))
    by_rules = standing(built(path, tmp_path / "rules", Precision.FP8))
    behind = standing(built(path, tmp_path / "behind", Precision.FP8, settings))
    assert behind.quantized == by_rules.quantized == 2  # depthwise ones and large filters are none in FP8
    assert behind.moved.bytes < by_rules.moved.bytes


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16, Precision.INT8])
def test_attention_fuses_in_narrow_floats(tmp_path: Path, precision: Precision) -> None:
    graph = built(attention(tmp_path / "net.onnx"), tmp_path / "fused", precision)
    good = next(one for one in findings(graph, precision) if one.good)
    assert good.message == "Q, K and V of 1 attention block run as one GEMM; 1 fused attention kernel."
    assert {"scores", "softmax", "weighted"} <= set(good.nodes)


def test_attention_in_fp32_runs_in_pieces(tmp_path: Path) -> None:
    graph = built(attention(tmp_path / "net.onnx"), tmp_path / "apart", Precision.FP32)
    apart = next(one for one in findings(graph, Precision.FP32) if one.kind is FindingKind.ATTENTION_APART)
    assert apart.message.startswith("1 attention block runs in pieces, in float32: scores, softmax and weighted sum are 3")
    assert apart.moved is not None
    assert apart.moved.bytes >= 4 * 4 * 2 * 128 * 128  # scores and their softmax, in FP32, written and read
