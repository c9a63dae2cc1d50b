"""What pages call files and forms, and what stands where a table has nothing."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import dashboard
from bench.stored_builds import SIGNATURE, store_build, store_model
from core.base.precision import Precision
from core.base.serialization import write_json
from core.models.model import Format, Model
from core.precision.record import PrecisionRecord
from core.precision.settings import Placement, PrecisionSettings
from core.request.build_request import BuildRequest
from core.stages.outcome import load_outcome
from core.stages.stage import Prepared
from core.storage.builds import StageName, all_builds, result_file
from core.storage.workspace import Workspace
from dashboard.components.engine_downloads import _has_text
from dashboard.downloads import stem_of
from dashboard.op_source import forms_of

CALLS = [
    (path.name, node)
    for path in sorted(Path(dashboard.__file__).parent.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "dataframe"
]


@pytest.mark.parametrize(("file", "call"), CALLS, ids=[f"{file}:{call.lineno}" for file, call in CALLS])
def test_a_table_never_says_none(file: str, call: ast.Call) -> None:
    assert "placeholder" in {keyword.arg for keyword in call.keywords}, file


def lowered(workspace: Workspace, model: Model, target: str, settings: PrecisionSettings) -> str:
    """A build whose precision stage has left a model of its own."""
    request = BuildRequest(model=model.digest, path="onnx.onnxruntime", precision=Precision.INT8, lowering=settings)
    key = store_build(workspace, replace(request, seed=len(all_builds(workspace))))
    artifact = workspace.artifacts / key
    artifact.mkdir(parents=True)
    (artifact / "m.onnx").write_bytes(b"-")
    record = PrecisionRecord(target=target, engine="light", precision=Precision.INT8)
    prepared = Prepared(artifact=key, entry="m.onnx", format=Format.ONNX, signature=SIGNATURE, precision=record)
    write_json(result_file(workspace.build_folder(key), StageName.PRECISION), prepared)
    return key


def test_forms_of_one_precision_are_told_apart_by_what_they_are(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    model = store_model(workspace, "net")
    lowered(workspace, model, "onnxruntime-1.27", PrecisionSettings())
    assert [form.title for form in forms_of(workspace, model, all_builds(workspace))][1:] == ["In INT8"]
    lowered(workspace, model, "openvino-2026.2", PrecisionSettings())
    lowered(workspace, model, "openvino-2026.2", PrecisionSettings(placement=(Placement.HEAVY_ONLY,)))
    titles = {form.title for form in forms_of(workspace, model, all_builds(workspace))[1:]}
    assert titles == {
        "In INT8, for onnxruntime-1.27",
        "In INT8, for openvino-2026.2",
        "In INT8, for openvino-2026.2, placement=heavy_only",
    }


def test_no_two_downloads_have_one_name(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    model = store_model(workspace, "net.onnx")
    keys = [
        store_build(workspace, BuildRequest(model=model.digest, path="onnx.onnxruntime", options=options))
        for options in ({}, {"graph_optimization": "basic"})
    ]
    names = {stem_of(load_outcome(workspace, key), what) for key in keys for what in ("engine", "model", "log")}
    assert len(names) == 6


def test_an_empty_log_is_none(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert not _has_text(log)
    log.touch()
    assert not _has_text(log)
    log.write_text("done")
    assert _has_text(log)
