"""`engineroom findings`: what the engine page shows, for a terminal and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.stored_builds import fill, store_lowered
from core.base.errors import InvalidRequest
from core.base.files import WORKSPACE_VARIABLE
from core.base.precision import Precision
from core.cli.app import app
from core.storage.workspace import Workspace
from tests.unit.analysis.engines import listed


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    return Workspace(tmp_path)


def told(*words: str) -> str:
    result = CliRunner().invoke(app, ["findings", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_lists_what_was_found_and_the_command_that_tries_a_mend(workspace: Workspace) -> None:
    build = store_lowered(workspace, listed("mobilenetv2-int8"))
    store_lowered(workspace, listed("mobilenetv2-fp16"), Precision.FP16)
    text = told(build[:12])
    assert "FP16 on this path: 57 layers, 28.6 MB between them" in text
    assert "17 depthwise convolutions read 4 channels for each one" in text
    assert "To try: Leave depthwise convolutions in FP16: --lower placement=float_depthwise" in text
    assert "--path onnx.tensorrt_rtx --precision int8" in text
    assert "Source nodes: StatefulPartitionedCall/" in text


def test_two_builds_stand_beside_each_other(workspace: Workspace) -> None:
    int8 = store_lowered(workspace, listed("mobilenetv2-int8"))
    fp16 = store_lowered(workspace, listed("mobilenetv2-fp16"), Precision.FP16)
    text = told(int8, "--against", fp16)
    assert "Before and after" in text
    assert "It helps: layers −47 %" in text


def test_json_has_all_of_it(workspace: Workspace) -> None:
    int8 = store_lowered(workspace, listed("mobilenetv2-int8"))
    fp16 = store_lowered(workspace, listed("mobilenetv2-fp16"), Precision.FP16)
    data = json.loads(told(int8, "--against", fp16, "--json"))
    assert data["standing"]["moved"]["bytes"] == 90_333_632
    assert data["twins"]["fp16"]["layers"] == data["against"]["layers"] == 57
    padded = next(one for one in data["findings"] if one["kind"] == "padded channels")
    assert padded["moved"]["bytes"] == 29_929_984
    assert padded["mend"]["flags"] == ["--lower placement=float_depthwise"]
    assert padded["mend"]["request"]["lowering"]["placement"] == ["float_depthwise"]
    assert len(padded["nodes"]) == 68
    assert {"label": "Layers", "before": "108", "after": "57", "change": "−51", "better": True} in data["changes"]


def test_builds_of_two_models_are_not_set_against_each_other(workspace: Workspace) -> None:
    shelf = fill(workspace)
    build = store_lowered(workspace, listed("mobilenetv2-int8"))
    with pytest.raises(InvalidRequest, match="of one model"):
        told(build, "--against", shelf.fp16)
