"""The engine page's section on precision, over builds as the stages leave them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bench.stored_builds import SIGNATURE, store_build, store_model
from core.base.files import WORKSPACE_VARIABLE
from core.base.precision import Precision
from core.base.serialization import write_json
from core.graph.engine_graph import EngineGraph, Layer, SourceNode
from core.models.model import Format
from core.parity.result import Accuracy
from core.precision.record import AccuracyCost, LayerError, PrecisionRecord, RemedyRecord, Round
from core.request.build_request import BuildRequest
from core.stages.stage import Prepared
from core.storage.builds import StageName, result_file
from core.storage.workspace import Workspace

GRAPH = EngineGraph(
    layers=(
        Layer(name="a", kind="QLinearConv", precision="uint8", time_ms=3.0, source_nodes=("conv",)),
        Layer(name="b", kind="Gemm", precision="float32", time_ms=1.0, source_nodes=("dense",)),
    ),
    source_nodes=(
        SourceNode(name="conv", op="Conv", requested="int8"),
        SourceNode(name="dense", op="Gemm", requested="int8"),
    ),
)
RECORD = PrecisionRecord(
    target="onnxruntime",
    engine="light",
    requested={"conv": "int8", "dense": "int8"},
    kept={"head": "the accuracy asked for"},
    stamp="uncalibrated, do not deploy",
    cost=AccuracyCost(
        compared_on="8 samples",
        emulated=False,
        first_bad=LayerError(node="dense", op="Gemm", tensor="y", error=0.2, added=0.1),
        worst=(LayerError(node="dense", op="Gemm", tensor="y", error=0.2, added=0.1),),
        accuracy=Accuracy(output="y", samples=200, top1=0.975, top5=None),
        reference_accuracy=Accuracy(output="y", samples=200, top1=0.985, top5=None),
    ),
    remedy=RemedyRecord(
        keep=("head",),
        rounds=(Round(kept=0, max_rel=0.3, non_finite=0, top1=None, latency_ms=2.0, met=False),),
        cost="2 ms with nothing kept.",
    ),
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    return Workspace(tmp_path)


def shown(key: str) -> AppTest:
    def page(key: str) -> None:
        from dashboard import services
        from dashboard.components.precision_section import precision_section

        precision_section(services.outcome(key))

    app = AppTest.from_function(page, kwargs={"key": key}, default_timeout=60).run()
    assert not app.exception, app.exception
    return app


def said(app: AppTest) -> str:
    kinds = (app.header, app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def test_realized_payoff_and_cost_are_told(workspace: Workspace) -> None:
    wide = BuildRequest(model=store_model(workspace, "net").digest, path="onnx.onnxruntime", signature="main")
    narrow = replace(wide, precision=Precision.INT8, calibration="data")
    key = store_build(workspace, narrow, graph=GRAPH, median_ms=9.9, size_bytes=25_000_000)
    prepared = Prepared(artifact=None, entry="model.onnx", format=Format.ONNX, signature=SIGNATURE, precision=RECORD)
    write_json(result_file(workspace.build_folder(key), StageName.PRECISION), prepared)
    text = said(shown(key))
    assert "Uncalibrated, do not deploy." in text
    assert "Build the same path in fp32 too" in text
    assert "50% of the nodes ran as asked, 75% of the time" in text
    assert "1 layer asked for in int8 ran in float32, 25% of the time: node dense." in text
    assert "Top-1 **97.5 %** on 200 labelled samples; fp32 has 98.5 %." in text
    assert "The first bad layer is dense (Gemm), off by 20 %." in text
    unmeasured = store_build(workspace, wide, graph=GRAPH)
    text = said(shown(key))
    assert "Build the same path" not in text
    assert f"The same path in fp32 is there (build {unmeasured[:12]}), but has no latency" in text
    store_build(workspace, wide, graph=GRAPH, median_ms=10.0, size_bytes=100_000_000)
    app = shown(key)
    assert "Whether INT8 paid is not settled: 9.88 ms against 9.98 ms in FP32, measured apart." in said(app)
    pairs = app.dataframe[0].value
    assert pairs[["Asked for", "Ran in", "Nodes"]].to_numpy().tolist() == [["int8", "int8", 1], ["int8", "float32", 1]]
    assert [frame.value.shape[0] for frame in app.dataframe] == [2, 2, 1, 1, 1]


def test_a_build_that_told_nothing_is_no_error(workspace: Workspace) -> None:
    request = BuildRequest(model=store_model(workspace, "net").digest, path="onnx.onnxruntime", signature="main")
    assert "told no layers" in said(shown(store_build(workspace, request)))
