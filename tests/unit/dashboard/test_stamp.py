"""An engine calibrated on random data says so wherever it is shown, and one that is wrong says that first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.stored_builds import Shelf, fill, store_build
from core.analysis.board import board
from core.analysis.comparison_data import row_as_data
from core.analysis.comparison_summary import summary
from core.analysis.finding import FindingKind
from core.analysis.findings import findings_of
from core.analysis.summary import build_figures
from core.base.precision import Precision
from core.base.serialization import read_json, write_json
from core.cli.builds import outcome_as_data
from core.cli.requests import NOT_CHECKED, PARITY_FAILED, exit_code
from core.report.page import report
from core.request.build_request import BuildRequest
from core.stages.build import Built
from core.stages.outcome import Outcome, load_outcome
from core.storage.builds import StageName, State, result_file
from core.storage.workspace import Workspace
from dashboard import services
from dashboard.downloads import stem_of

STAMP = "uncalibrated, do not deploy"


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return fill(Workspace(tmp_path))


def stamped(shelf: Shelf) -> Outcome:
    path = result_file(shelf.workspace.build_folder(shelf.int8), StageName.BUILD)
    built = read_json(Built, path)
    write_json(path, replace(built, engine=replace(built.engine, notes=("Uncalibrated: random ranges. Do not deploy.",))))
    return load_outcome(shelf.workspace, shelf.int8)


def test_the_stamp_is_everywhere_that_the_build_is(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = stamped(shelf)
    others = [load_outcome(shelf.workspace, key) for key in (shelf.fp32, shelf.untimed)]
    rows = board([outcome, *others])
    assert rows[0].verdict.endswith(STAMP)
    assert row_as_data(rows[0])["stamp"] == STAMP
    if rows[0].name in summary(rows):
        assert STAMP in summary(rows)
    assert outcome_as_data(outcome)["stamp"].startswith("Uncalibrated")
    assert 'class="stamp">Uncalibrated: random ranges. Do not deploy.<' in report([outcome])
    assert STAMP in report([outcome, *others])
    monkeypatch.setattr(services, "workspace", lambda: shelf.workspace)
    assert services.figures(outcome.build).stamp == STAMP
    assert services.figures(others[0].build).stamp == ""
    assert stem_of(outcome, "engine").endswith("-engine-uncalibrated-do-not-deploy")
    assert stem_of(outcome, "log").endswith("-log")
    assert stem_of(others[0], "engine").endswith("-engine")


def built(shelf: Shelf, *, error: float = 0.0, state: State = State.DONE) -> Outcome:
    request = BuildRequest(model=shelf.model.digest, path="onnx.openvino", precision=Precision.FP32, seed=7)
    return load_outcome(shelf.workspace, store_build(shelf.workspace, request, median_ms=1.0, error=error, state=state))


def test_outputs_that_are_not_on_par_are_the_first_finding(shelf: Shelf) -> None:
    wrong = built(shelf, error=0.5)
    first = findings_of(wrong)[0]
    assert (first.kind, first.bad) == (FindingKind.WRONG, True)
    assert "50 % off" in first.message
    assert 'class="finding bad"' in report([wrong])
    assert exit_code(wrong) == PARITY_FAILED
    assert not [one for one in findings_of(built(shelf)) if one.bad]


@pytest.mark.parametrize("state", [State.CANCELLED, State.FAILED])
def test_a_build_that_did_not_end_is_never_on_par(shelf: Shelf, state: State) -> None:
    stopped = built(shelf, state=state)
    assert (stopped.parity, stopped.verdict) == (None, "not checked")
    assert exit_code(stopped) not in (0, None)
    told = next(figure for figure in build_figures(stopped) if figure.label == "Parity")
    assert told.value == "not checked"
    assert row_as_data(board([stopped])[0])["parity_passed"] is None


def test_a_build_without_parity_is_not_checked(shelf: Shelf) -> None:
    done = built(shelf)
    assert exit_code(done) == 0
    result_file(shelf.workspace.build_folder(done.build.key), StageName.PARITY).unlink()
    assert exit_code(load_outcome(shelf.workspace, done.build.key)) == NOT_CHECKED
