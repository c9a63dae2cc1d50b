"""What `engineroom build` prints of a build, over builds as the stages leave them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.stored_builds import store_build, store_model
from core.base.precision import Precision
from core.cli.builds import show_outcome
from core.request.build_request import BuildRequest
from core.stages.outcome import load_outcome
from core.storage.workspace import Workspace

STAMP = "Uncalibrated: the INT8 ranges come from random values. Do not deploy this engine."


def test_the_engines_notes_are_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(tmp_path)
    request = BuildRequest(model=store_model(workspace, "net").digest, path="savedmodel.tf-trt", precision=Precision.INT8)
    outcome = load_outcome(workspace, store_build(workspace, request, median_ms=1.0))
    assert outcome.prepared is None
    assert outcome.built is not None
    engine = replace(outcome.built.engine, notes=(STAMP, "Built on a GPU.", STAMP))
    show_outcome(replace(outcome, built=replace(outcome.built, engine=engine)))
    told = capsys.readouterr().out
    assert told.count(STAMP) == told.count("Built on a GPU.") == 1
    assert "simplified" not in told
