"""The report: whole, offline, escaped, with charts."""

from __future__ import annotations

import re
import resource
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from bench.stored_builds import SIGNATURE, Shelf, chain, fill, resnet, store_build, store_lowered, store_model
from core.base.errors import InvalidRequest, StoreFailed
from core.base.files import WORKSPACE_VARIABLE
from core.base.precision import Precision
from core.cli.app import app
from core.models.model import Format
from core.report.charts import ticks_to
from core.report.page import report
from core.request.build_request import BuildRequest
from core.stages.outcome import load_outcome
from core.stages.stage import Prepared
from core.storage.builds import StageName
from core.storage.workspace import Workspace
from tests.unit.analysis.engines import listed
from tests.unit.analysis.test_attention import FUSED, MERGED, engine

VOID = {"meta", "br", "link", "img"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return fill(Workspace(tmp_path_factory.mktemp("workspace")))


class Balance(HTMLParser):
    """Fails on an element that is closed in the wrong place, and notes what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> str:
    page = Balance()
    page.feed(html)
    assert not page.open
    assert not page.fetched
    assert "<script" not in html
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(svg)  # noqa: S314  our own
    return html


def of(shelf: Shelf, *keys: str) -> str:
    return checked(report([load_outcome(shelf.workspace, key) for key in keys]))


def test_a_build_with_its_charts(shelf: Shelf) -> None:
    html = of(shelf, shelf.fp16)
    assert html.count("<svg") == 2
    assert "0.619 ms" in html
    assert "resnet50/conv5_block3_out/Relu" in html
    assert "engineroom build" in html


def test_findings_come_with_nodes_bytes_and_what_to_try(shelf: Shelf) -> None:
    html = of(shelf, store_lowered(shelf.workspace, listed("mobilenetv2-int8")))
    assert "Its layers read and write 90.3 MB between them" in html
    assert "<summary>From 68 source nodes</summary>" in html
    assert "<code>--lower placement=float_depthwise</code>" in html
    good = of(shelf, store_lowered(shelf.workspace, engine(MERGED, FUSED), Precision.FP16))
    assert '<div class="finding good">' in good


def test_what_a_stage_changed_is_told(shelf: Shelf) -> None:
    outcome = load_outcome(shelf.workspace, shelf.fp16)
    prepared = Prepared(
        artifact="s",
        entry="model.onnx",
        format=Format.ONNX,
        signature=SIGNATURE,
        ops={"Conv": 53},
        details={"nodes": "214 before, 126 after"},
    )
    html = checked(report([replace(outcome, prepared=prepared, preparations={StageName.SIMPLIFY: prepared})]))
    assert "What the simplify stage changed" in html
    assert "214 before, 126 after" in html
    assert "Ops before and after simplify" in html


@pytest.mark.parametrize("which", ["failed", "running", "untimed", "int8"])
def test_what_is_missing_is_told(shelf: Shelf, which: str) -> None:
    html = of(shelf, getattr(shelf, which))
    expected = {
        "failed": "TensorRT found no kernel",
        "running": "not measured",
        "untimed": "in execution order by source nodes",
        "int8": "not on par",
    }
    assert expected[which] in html


def test_several_builds_side_by_side(shelf: Shelf) -> None:
    html = of(shelf, shelf.fp32, shelf.fp16, shelf.int8, shelf.failed, shelf.running)
    assert "TensorRT in fp16 is the fastest that is right" in html
    assert "Where they differ" not in html


def test_two_builds_with_their_differences(shelf: Shelf) -> None:
    assert "Where they differ" in of(shelf, shelf.fp32, shelf.fp16)


def test_names_from_a_model_are_text(shelf: Shelf) -> None:
    graph = resnet("fp16")
    evil = "<img src=x onerror=alert(1)>&\"'"
    layers = (replace(graph.layers[0], name=evil, kernel=evil), *graph.layers[1:])
    model = store_model(shelf.workspace, "<b>model</b>")
    key = store_build(
        shelf.workspace,
        BuildRequest(model=model.digest, path="onnx.tensorrt"),
        graph=replace(graph, layers=layers),
        median_ms=1.0,
    )
    html = of(shelf, key)
    assert "<img" not in html
    assert "<b>model" not in html
    assert "&lt;img src=x" in html


def test_ten_thousand_layers_stay_a_file_one_can_send(shelf: Shelf) -> None:
    model = store_model(shelf.workspace, "large")
    key = store_build(
        shelf.workspace, BuildRequest(model=model.digest, path="onnx.tensorrt"), graph=chain(10_000), median_ms=20.0
    )
    html = of(shelf, key)
    assert len(html) < 1_000_000
    assert "1,000 of 10,000 layers" in html


def test_the_command_writes_it(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(shelf.workspace.root))
    file = tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", shelf.fp16[:12], shelf.fp32[:12], "-o", str(file)])
    assert done.exit_code == 0, done.output
    checked(file.read_text(encoding="utf-8"))


def test_a_report_that_does_not_fit_leaves_the_one_that_was_there(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(shelf.workspace.root))
    file = tmp_path / "report.html"
    file.write_text("yesterday's")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # as a disk with a page left; beyond it, EFBIG
    try:
        done = CliRunner().invoke(app, ["report", shelf.fp16[:12], "-o", str(file)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert isinstance(done.exception, StoreFailed)
    assert file.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [file]


def test_builds_of_different_models_are_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(shelf.workspace.root))
    model = store_model(shelf.workspace, "another")
    key = store_build(shelf.workspace, BuildRequest(model=model.digest, path="onnx.tensorrt"), median_ms=1.0)
    done = CliRunner().invoke(app, ["report", shelf.fp16, key])
    assert isinstance(done.exception, InvalidRequest)


@pytest.mark.parametrize("highest", [0.0, 1e-9, 0.0333, 1.0, 3.7, 99.0, 12345.0])
def test_ticks_enclose_the_data_in_few_steps(highest: float) -> None:
    ticks = ticks_to(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= 7
