"""Which mends are offered, for which builds, and what a trial brought."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.analysis.finding import FindingKind, Mend
from core.analysis.findings import findings_of
from core.analysis.standing import changes, standing, verdict
from core.analysis.twins import twins_text, wider_twins
from core.base.precision import Precision
from core.base.tensors import Signature
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor, SourceNode
from core.models.model import Format, Model
from core.precision.record import PrecisionRecord
from core.precision.settings import Placement, PrecisionEngine, PrecisionSettings
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome
from core.stages.stage import Prepared
from core.storage.builds import Build, State
from tests.unit.analysis.engines import inspected, listed
from tests.unit.analysis.test_attention import FUSED, MERGED, engine, layer

SIGNATURE = Signature(name="main", inputs=(), outputs=())
MODEL = Model(digest="ab" * 32, name="net", format=Format.ONNX, entry="net.onnx", signatures=(SIGNATURE,), size_bytes=1)


def made(
    graph: EngineGraph | None,
    precision: Precision = Precision.INT8,
    *,
    target: str = "tensorrt-11.0",
    path: str = "onnx.tensorrt_rtx",
    kept: dict[str, str] | None = None,
    **lowering: Any,
) -> Outcome:
    """A finished build whose precision our own passes put in."""
    request = BuildRequest(model=MODEL.digest, path=path, precision=precision, lowering=PrecisionSettings(**lowering))
    record = PrecisionRecord(target=target, engine="light", precision=precision, kept=kept or {})
    prepared = Prepared(artifact=None, entry="m.onnx", format=Format.ONNX, signature=SIGNATURE, precision=record)
    build = Build(key=request.key, request=request, state=State.DONE, stages=(), created_at=0.0)
    return Outcome(build=build, model=MODEL, prepared=prepared, graph=graph)


def mends(outcome: Outcome) -> dict[FindingKind, Mend]:
    return {one.kind: one.mend for one in findings_of(outcome) if one.mend}


def test_each_finding_of_an_int8_engine_has_its_own() -> None:
    found = mends(made(listed("mobilenetv2-int8")))
    assert {kind: mend.flags for kind, mend in found.items()} == {
        FindingKind.FLOAT_BETWEEN: ("--lower placement=scales_behind",),
        FindingKind.QUANTIZING: ("--lower placement=heavy_only",),
        FindingKind.PADDED: ("--lower placement=float_depthwise",),
    }
    assert "44 of 53 layers in int8" in found[FindingKind.QUANTIZING].cost
    assert "17 convolutions of 53" in found[FindingKind.PADDED].cost


def test_the_request_to_try_differs_in_that_alone() -> None:
    outcome = made(listed("resnet50-int8"), keep_ops=("Softmax",), placement=(Placement.HEAVY_ONLY,))
    mend = mends(outcome)[FindingKind.FLOAT_BETWEEN]
    asked = outcome.build.request
    both = (Placement.SCALES_BEHIND, Placement.HEAVY_ONLY)
    assert mend.request == replace(asked, lowering=replace(asked.lowering, placement=both))
    assert mend.flags == ("--lower keep_ops=Softmax", "--lower placement=scales_behind,heavy_only")


def test_what_the_build_has_already_is_not_offered() -> None:
    everything = made(listed("mobilenetv2-int8"), placement=tuple(Placement))
    assert mends(everything) == {}
    heavy = mends(made(listed("mobilenetv2-int8"), placement=(Placement.HEAVY_ONLY,)))
    assert heavy.keys() == {FindingKind.FLOAT_BETWEEN}  # depthwise convolutions are no heavy ones


@pytest.mark.parametrize(
    "change",
    [{"target": "tensorrt-8.6"}, {"target": "onnxruntime"}, {"engine": PrecisionEngine.MODELOPT}],
    ids=["older", "another runtime", "another engine"],
)
def test_where_a_placement_is_not_for_it_is_not_offered(change: dict[str, Any]) -> None:
    outcome = made(listed("mobilenetv2-int8"), **change)
    assert {FindingKind.QUANTIZING, FindingKind.PADDED} <= {finding.kind for finding in findings_of(outcome)}
    assert mends(outcome) == {}


def test_convolutions_that_write_fp16_already_have_nothing_to_mend() -> None:
    def narrow(tensors: tuple[LayerTensor, ...]) -> tuple[LayerTensor, ...]:
        return tuple(replace(one, dtype="float16") if one.dtype == "float32" else one for one in tensors)

    graph = listed("resnet50-int8")
    layers = tuple(replace(one, inputs=narrow(one.inputs), outputs=narrow(one.outputs)) for one in graph.layers)
    outcome = made(replace(graph, layers=layers))
    assert FindingKind.FLOAT_BETWEEN in {finding.kind for finding in findings_of(outcome)}
    assert FindingKind.FLOAT_BETWEEN not in mends(outcome)


def test_without_weights_told_nothing_is_said_of_heavy_layers() -> None:
    graph = listed("resnet50-int8")
    layers = tuple(replace(one, weight_bytes=None) for one in graph.layers)
    assert FindingKind.QUANTIZING not in mends(made(replace(graph, layers=layers)))


def test_tensorrt_8_fused_them_and_has_nothing_to_try() -> None:
    outcome = made(inspected("tensorrt-8.5.3.1-h100/sample-resnet50-int8"), target="tensorrt-8.5", path="onnx.tensorrt")
    assert mends(outcome) == {}


def mixed() -> EngineGraph:
    """A sum in FP32 between two halves in FP16."""
    widths = {"a": "float16", "b": "float32", "c": "float16"}
    a, b, c = (LayerTensor(name=name, dtype=dtype, shape=(1, 1000)) for name, dtype in widths.items())
    layers = (
        Layer(name="widen", kind="kgen", kernel="__myl_Cast_0x2", inputs=(a,), outputs=(b,), source_nodes=("block/sum",)),
        Layer(name="sum", kind="kgen", kernel="__myl_AddCast_0x3", inputs=(b,), outputs=(c,), source_nodes=("block/sum", "relu")),
    )
    nodes = (SourceNode(name="block/sum", op="Add"), SourceNode(name="relu", op="Relu"))
    return EngineGraph(layers=layers, source_nodes=nodes)


@pytest.mark.parametrize(
    ("asked", "left", "flags"),
    [
        ({"keep_ops": ("Add", "Softmax")}, {"keep_ops": ("Softmax",)}, ("--lower keep_ops=Softmax",)),
        ({"keep_nodes": ("block/*", "head")}, {"keep_nodes": ("head",)}, ("--lower keep_nodes=head",)),
        ({"keep_ops": ("Add",)}, {}, ()),
    ],
)
def test_what_was_kept_wider_by_wish_can_be_let_go(asked: dict[str, Any], left: dict[str, Any], flags: tuple[str, ...]) -> None:
    outcome = made(mixed(), Precision.FP16, **asked)
    mend = mends(outcome)[FindingKind.MIXED]
    assert mend.request.lowering == PrecisionSettings(**left)
    assert mend.flags == flags
    assert "1 node" in mend.cost


@pytest.mark.parametrize("asked", [{}, {"keep_ops": ("Softmax",)}, {"keep_ops": ("Add",), "max_rel": 0.01}])
def test_what_accuracy_or_fp16s_range_keeps_wider_stays(asked: dict[str, Any]) -> None:
    outcome = made(mixed(), Precision.FP16, kept={"block/sum": "it reaches 1e+05, FP16 ends at 65504"}, **asked)
    (finding,) = (one for one in findings_of(outcome) if one.kind is FindingKind.MIXED)
    assert finding.hint == "Some of these nodes stay wider: 1 node, it reaches 1e+05, FP16 ends at 65504."
    assert mends(outcome) == {}


def test_attention_in_pieces_of_fp32_may_fuse_in_fp16() -> None:
    pieces = engine(MERGED, *(layer(name, name, precision="float32") for name in ("scores", "soft", "sum")))
    mend = mends(made(pieces, Precision.FP32))[FindingKind.ATTENTION_APART]
    assert (mend.flags, mend.request.precision) == (("--precision fp16",), Precision.FP16)
    assert mends(made(pieces, Precision.FP32, path="onnx.onnxruntime")) == {}
    assert mends(made(pieces, Precision.FP16)) == {}
    assert mends(made(engine(MERGED, FUSED), Precision.FP16)) == {}


def test_builds_without_layers_have_no_findings() -> None:
    assert findings_of(made(None)) == []


def test_before_and_after_are_told_without_a_word_on_time() -> None:
    apart = standing(listed("resnet50-int8"), 33_000_000)
    fused = standing(inspected("tensorrt-8.5.3.1-h100/sample-resnet50-int8"), 29_000_000)
    rows = {row.label: (row.before, row.after, row.change, row.better) for row in changes(apart, fused)}
    assert rows["Layers"] == ("123", "65", "−58", True)
    assert rows["Kernels that only quantize"] == ("49", "3", "−46", True)
    assert rows["Layers that compute quantized"] == ("54", "54", "the same", None)
    assert rows["Moved between layers"] == ("109.8 MB", "31.1 MB", "−71.7 %", True)
    assert list(rows)[-2:] == ["Constants read", "Engine file"]
    assert rows["Engine file"] == ("33.0 MB", "29.0 MB", "−12.1 %", True)
    assert verdict(apart, fused).startswith("It helps: layers −47 %, kernels that only quantize −94 %, bytes moved")
    assert verdict(fused, apart).startswith("It does not help: layers +89 %")
    assert verdict(apart, apart) == "It changes nothing here."
    assert verdict(apart, replace(apart, layers=100, quantizing=60)).startswith("It trades: layers −19 %, kernels")


def test_what_is_not_told_has_no_change() -> None:
    bert = standing(listed("bert-fp16"))
    row = next(row for row in changes(bert, bert) if row.label == "Moved between layers")
    assert (row.before, row.after, row.change, row.better) == ("not told", "not told", "", None)
    assert "not told" in bert.text
    assert next(row for row in changes(bert, bert) if row.label == "Engine file").before == "not told"
    assert "Kernels that only quantize" not in {row.label for row in changes(bert, bert)}


def test_wider_twins_of_the_same_path_are_set_beside_it() -> None:
    int8, fp16 = made(listed("mobilenetv2-int8")), made(listed("mobilenetv2-fp16"), Precision.FP16)
    elsewhere = made(listed("mobilenetv2-fp16"), Precision.FP32, path="onnx.tensorrt")
    held = made(listed("bert-fp16"), Precision.FP16, keep_ops=("Add",))  # no measure of FP16
    stored = {one.build.key: one for one in (int8, held, fp16, elsewhere)}
    twins = wider_twins(int8, [one.build for one in stored.values()], stored.__getitem__)
    assert [precision for precision, _ in twins] == [Precision.FP16]
    assert twins_text(standing(listed("mobilenetv2-int8")), twins) == (
        "FP16 on this path: 57 layers, 28.6 MB between them and 7.0 MB of constants (this engine moves 2.65 times that)."
    )
    assert wider_twins(fp16, [one.build for one in stored.values()], stored.__getitem__) == []
