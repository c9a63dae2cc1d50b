"""A weak figure looks weak in every place that shows it; one that is not looks as it always did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.stored_builds import Shelf, fill, weaken
from core.analysis.board import board
from core.analysis.comparison_data import row_as_data
from core.analysis.summary import build_figures
from core.base.files import WORKSPACE_VARIABLE
from core.cli import compare
from core.cli.app import app
from core.cli.builds import outcome_as_data, show_outcome
from core.report.page import report
from core.stages.outcome import Outcome, load_outcome
from core.storage.workspace import Workspace
from dashboard.charts.comparison import Against, latency_figure, scatter_figure

NOISY = "Noisy: latencies scatter by 41% of their mean (more than 10%)."
OTHERS = "Other programs used 51% of the cores while measuring: measure again on a quiet machine."
WORDS = "noisy, shared cores"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    found = fill(Workspace(tmp_path))
    weaken(found.workspace, found.fp16, NOISY, OTHERS)
    return found


def of(shelf: Shelf, *keys: str) -> list[Outcome]:
    return [load_outcome(shelf.workspace, key) for key in keys]


def test_the_latency_alone_carries_it(shelf: Shelf) -> None:
    weak, sound = (build_figures(outcome) for outcome in of(shelf, shelf.fp16, shelf.fp32))
    assert {figure.label: figure.weak for figure in weak if figure.weak} == {"Median latency": WORDS}
    assert weak[0].because == (NOISY, OTHERS)
    assert not any(figure.weak or figure.because for figure in sound)


def test_a_row_for_scripts_has_a_list(shelf: Shelf) -> None:
    rows = [row_as_data(row) for row in board(of(shelf, shelf.fp16, shelf.fp32, shelf.failed))]
    assert [list(row["weaknesses"]) for row in rows] == [["noisy", "shared cores"], [], []]
    assert outcome_as_data(of(shelf, shelf.fp16)[0])["weaknesses"] == ["noisy", "shared cores"]
    assert outcome_as_data(of(shelf, shelf.failed)[0])["weaknesses"] == []


def test_its_point_is_hollow_and_says_why(shelf: Shelf) -> None:
    rows = board(of(shelf, shelf.fp16, shelf.fp32))
    for figure in (latency_figure(rows), scatter_figure(rows, Against.SIZE)):
        points = {
            key: (symbol, hover)
            for trace in figure.data
            for key, symbol, hover in zip(trace.customdata, trace.marker.symbol, trace.hovertext, strict=True)
        }
        assert points[shelf.fp16][0].endswith("-open")
        assert f"weak: {WORDS}" in points[shelf.fp16][1]
        assert not points[shelf.fp32][0].endswith("-open")
        assert "weak" not in points[shelf.fp32][1]


def test_a_report_has_a_badge_a_column_and_a_hollow_point(shelf: Shelf) -> None:
    weak, sound = (report([outcome]) for outcome in of(shelf, shelf.fp16, shelf.fp32))
    assert f'class="weak" title="{NOISY} {OTHERS}">{WORDS}</p>' in weak
    assert 'class="weak"' not in sound
    both = report(of(shelf, shelf.fp16, shelf.fp32))
    assert "<td>noisy, shared cores</td>" in both
    assert "hollow: a weak figure" in both
    assert f"; weak: {WORDS};" in both
    without = report(of(shelf, shelf.fp32, shelf.int8))
    assert ">weak</th>" not in without
    assert "hollow" not in without


def test_build_says_so_beside_the_figure(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    for outcome in of(shelf, shelf.fp16, shelf.fp32):
        show_outcome(outcome)
    told = capsys.readouterr().out
    assert f"ms (weak: {WORDS}) of 3,000 samples" in told
    assert told.count("(weak:") == 1


def test_builds_lists_it(shelf: Shelf) -> None:
    told = CliRunner().invoke(app, ["builds"], catch_exceptions=False).output
    assert "weak figures" in told
    assert told.count(WORDS) == 1
    rows = json.loads(CliRunner().invoke(app, ["builds", "--json"], catch_exceptions=False).output)
    assert {row["key"]: row["weaknesses"] for row in rows if row["weaknesses"]} == {shelf.fp16: ["noisy", "shared cores"]}
    assert {"key", "request", "state", "stages", "created_at"} <= set(rows[0])


def test_builds_has_no_such_column_where_none_is_weak(shelf: Shelf) -> None:
    weaken(shelf.workspace, shelf.fp16)
    assert "weak" not in CliRunner().invoke(app, ["builds"], catch_exceptions=False).output


def test_builds_are_listed_where_figures_cannot_be_read(shelf: Shelf) -> None:
    (shelf.workspace.build_folder(shelf.fp16) / "measure.json").write_text("{}")
    assert shelf.fp16[:12] in CliRunner().invoke(app, ["builds"], catch_exceptions=False).output


@pytest.mark.parametrize("weak", [True, False])
def test_compare_has_a_column_where_some_are(shelf: Shelf, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not weak:
        weaken(shelf.workspace, shelf.fp16)
    keys = iter((shelf.fp16, shelf.fp32))
    monkeypatch.setattr(compare, "run_in_foreground", lambda *_, **__: load_outcome(shelf.workspace, next(keys)))
    monkeypatch.setattr(compare, "make_request", lambda *_, **__: None)
    asked = ["compare", shelf.model.digest, "--path", "a", "--path", "b"]
    told = CliRunner().invoke(app, asked, catch_exceptions=False).output
    assert (WORDS in told) is weak
