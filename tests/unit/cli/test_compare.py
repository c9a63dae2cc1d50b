"""One rule for the command line, the page and the report: the same baseline, titles and verdicts of the same builds."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.stored_builds import Shelf, fill
from core.analysis.board import board
from core.analysis.comparison_row import Standing
from core.analysis.comparison_summary import summary
from core.base.files import WORKSPACE_VARIABLE
from core.cli import compare
from core.cli.app import app
from core.cli.requests import exit_code
from core.report.page import report
from core.stages.outcome import load_outcome
from core.storage import housekeeping
from core.storage.workspace import Workspace
from dashboard.components.comparison_board import comparison_frame


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Its own framework is neither built first nor the fastest; `engineroom compare` finds everything built."""
    shelf = fill(Workspace(tmp_path))
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    stored = iter([shelf.fp32, shelf.fp16, shelf.int8, shelf.untimed])
    monkeypatch.setattr(compare, "make_request", lambda *_: next(stored))
    monkeypatch.setattr(compare, "run_in_foreground", lambda workspace, key, **_: load_outcome(workspace, key))
    return shelf


def asked(shelf: Shelf, *more: str) -> str:
    paths = [argument for path in "abcd" for argument in ("--path", path)]
    done = CliRunner().invoke(app, ["compare", shelf.model.digest, *paths, *more])
    return done.stdout


def test_command_line_page_and_report_judge_alike(shelf: Shelf) -> None:
    told = json.loads(asked(shelf, "--json"))
    outcomes = [load_outcome(shelf.workspace, row["key"]) for row in told]
    newest_first = board(outcomes[::-1])
    by_key = {row.key: row for row in newest_first}
    assert [row["key"] for row in told if row["standing"] == Standing.BASELINE.value] == [shelf.untimed]
    for row in told:
        other = by_key[row["key"]]
        assert (row["title"], row["standing"], row["verdict"]) == (other.candidate.title, other.standing.value, other.verdict)
    frame = comparison_frame(newest_first)
    assert set(zip(frame["Build"], frame["Verdict"], strict=True)) == {(row["title"], row["verdict"]) for row in told}
    html = report(outcomes)
    assert all(escape(row["verdict"]) in html for row in told)
    assert escape(summary(newest_first)) in html


def test_the_table_has_the_summary_of_the_page(shelf: Shelf) -> None:
    shown = " ".join(asked(shelf).split())
    outcomes = [load_outcome(shelf.workspace, key) for key in (shelf.untimed, shelf.int8, shelf.fp16, shelf.fp32)]
    assert summary(board(outcomes)) in shown
    assert "0.619 ms" in shown


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 0), 0), ((0, 13), 13), ((13, 11), 11), ((0, 13, 6, 11), 6), ((), 0)],
)
def test_it_ends_with_what_is_worst(codes: tuple[int, ...], worst: int) -> None:
    assert compare.worst_code(codes) == worst


def test_an_engine_that_nothing_has_run_is_no_0(shelf: Shelf) -> None:
    outcome = load_outcome(shelf.workspace, shelf.fp32)
    assert exit_code(outcome) == 0
    assert exit_code(replace(outcome, parity=None)) == 13
    unrun = replace(outcome, build=replace(outcome.build, not_run="not run here: it runs on cuda"), parity=None, measurement=None)
    assert exit_code(unrun) == 13


def test_a_missing_baseline_comes_with_the_command_that_builds_it(shelf: Shelf) -> None:
    housekeeping.delete_build(shelf.workspace, shelf.untimed)
    done = CliRunner().invoke(app, ["compare", shelf.model.digest, "--path", "a"], catch_exceptions=False)
    assert "To build the baseline: engineroom build" in done.stdout
    assert "--path onnx.onnxruntime" in done.stdout


def test_a_baseline_that_is_there_needs_no_command(shelf: Shelf) -> None:
    assert "To build the baseline" not in asked(shelf)
