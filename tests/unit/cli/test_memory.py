"""An engine's memory and streams on the command line, in comparisons and in reports: the same figures everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.stored_builds import Shelf, fill, store_build, streaming, streaming_request
from core.analysis.board import board
from core.analysis.comparison_data import row_as_data
from core.analysis.summary import GPU_MEMORY, build_figures
from core.base.errors import NotFound
from core.base.files import WORKSPACE_VARIABLE
from core.base.profile import AxisRange, ShapeProfile
from core.cli import compare
from core.cli.app import app
from core.cli.builds import show_outcome
from core.cli.requests import NOT_CHECKED
from core.report.page import report
from core.stages.outcome import load_outcome
from core.storage.workspace import Workspace
from dashboard.components.comparison_board import comparison_frame


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    return fill(Workspace(tmp_path))


@pytest.fixture
def told(shelf: Shelf) -> str:
    """A build whose builder tells memory and two streams."""
    return store_build(shelf.workspace, streaming_request(shelf.model), graph=streaming())


def asked(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def smaller(shelf: Shelf) -> str:
    """The same build for a largest batch of 2."""
    graph = streaming()
    assert graph.memory
    profile = ShapeProfile(axes={"batch": AxisRange(min=1, opt=1, max=2)})
    memory = replace(graph.memory, activation_bytes=20_000_000)
    return store_build(shelf.workspace, streaming_request(shelf.model, profile=profile), graph=replace(graph, memory=memory))


def test_the_parts_and_the_sums_are_printed(shelf: Shelf, told: str) -> None:
    shown = asked("memory", told[:12], "--contexts", "3")
    assert "75.8 MB: On the GPU, for each context" in shown
    assert "3   25.7 MB      227.4 MB   253.1 MB         240 B" in shown
    assert "many kernels   75.8 MB" in shown
    assert "At other lengths" not in shown


def test_the_same_build_at_another_length_stands_beside_it(shelf: Shelf, told: str) -> None:
    other = smaller(shelf)
    shown = " ".join(asked("memory", told).split())
    assert f"2 batch 1:1:2 {other[:12]} 25.7 MB 20.0 MB 45.7 MB" in shown
    assert f"8 batch 1:1:8 (this build) {told[:12]} 25.7 MB 75.8 MB 101.5 MB" in shown
    assert "20.0 MB of activations at a largest batch of 2, 75.8 MB at 8: 9.3 MB for each more on average." in shown


def test_scripts_get_bytes(shelf: Shelf, told: str) -> None:
    smaller(shelf)
    data = json.loads(asked("memory", told, "--contexts", "2", "--json"))
    assert data["contexts"] == [
        {
            "contexts": 2,
            "weights_bytes": 25_712_518,
            "contexts_bytes": 151_584_768,
            "device_bytes": 177_297_286,
            "host_bytes": 160,
        }
    ]
    assert (data["inputs_bytes"], data["outputs_bytes"]) == (8 * 224 * 224 * 3 * 4, 8 * 1000 * 4)
    assert [(point["length"], point["activation_bytes"]) for point in data["other_profiles"]["batch"]] == [
        (2, 20_000_000),
        (8, 75_792_384),
    ]
    assert len(data["layers"]) == 106
    assert data["layers"][1]["constants"] is not None
    assert data["layers"][1]["total"] is None


def test_a_runtime_that_tells_none_says_so(shelf: Shelf) -> None:
    with pytest.raises(NotFound, match="Nothing tells what memory this build takes"):
        asked("memory", shelf.untimed)


def test_layers_tell_their_stream_and_what_they_move(shelf: Shelf, told: str) -> None:
    shown = asked("layers", told)
    assert "stream" in next(line for line in shown.splitlines() if "kernel" in line)
    assert "• 2 streams; 16 of 107 layers on stream 1; 8 waits. May run at the same time: layer 13" in shown
    assert "101.5 MB of the GPU's memory with one context" in shown
    assert "stream" not in asked("layers", shelf.untimed)
    data = json.loads(asked("layers", told, "--json"))
    assert data["memory"]["activation_bytes"] == 75_792_384
    assert (data["layers"][12]["stream"], data["layers"][11]["event"]) == (1, 1)


def test_a_build_prints_its_gpu_memory_where_it_is_told(shelf: Shelf, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = load_outcome(shelf.workspace, told)
    show_outcome(outcome)
    assert (
        "gpu memory      101.5 MB of the weights and one context, as the builder tells: weights 25.7 MB; activations 75.8 MB at "
        "the largest shapes; each further context 75.8 MB" in capsys.readouterr().out
    )
    assert GPU_MEMORY not in [figure.label for figure in build_figures(load_outcome(shelf.workspace, shelf.fp16))]


def test_what_is_not_told_of_the_memory_is_said(shelf: Shelf, told: str) -> None:
    outcome = load_outcome(shelf.workspace, told)
    assert outcome.graph
    assert outcome.graph.memory
    memory = replace(outcome.graph.memory, weights_bytes=None)
    figures = build_figures(replace(outcome, graph=replace(outcome.graph, memory=memory)))
    figure = next(figure for figure in figures if figure.label == GPU_MEMORY)
    assert figure.value == "not told"
    assert figure.against[0] == "weights not told"


def test_comparisons_have_the_same_bytes(shelf: Shelf, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = board([load_outcome(shelf.workspace, key) for key in (shelf.fp16, told)])
    without, found = (row_as_data(row) for row in rows)
    names = ("weights_bytes", "activation_bytes", "context_bytes", "gpu_memory_bytes")
    assert [found[name] for name in names] == [25_712_518, 75_792_384, 75_792_384, 101_504_902]
    assert [without[name] for name in names] == [None] * 4
    frame = comparison_frame(rows)
    assert frame["With one context, MB"].tolist()[1] == pytest.approx(101.504902)
    assert frame["Activations, MB"].isna().tolist() == [True, False]
    html = report([load_outcome(shelf.workspace, key) for key in (shelf.fp16, told)])
    assert html.count("101.5 MB") >= 2
    assert "not told" in html
    assert "2 streams; 16 of 107 layers on stream 1; 8 waits." in html

    stored = iter([shelf.fp16, told])
    monkeypatch.setattr(compare, "make_request", lambda *_: next(stored))
    monkeypatch.setattr(compare, "run_in_foreground", lambda workspace, key, **_: load_outcome(workspace, key))
    shown = asked("compare", shelf.model.digest, "--path", "a", "--path", "b", code=NOT_CHECKED)
    assert "with one context" in shown
    assert "25.7 MB       75.8 MB           101.5 MB" in shown
    assert "not told      not told           not told" in shown


def test_a_comparison_without_such_builds_has_no_such_columns(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = iter([shelf.fp16, shelf.fp32])
    monkeypatch.setattr(compare, "make_request", lambda *_: next(stored))
    monkeypatch.setattr(compare, "run_in_foreground", lambda workspace, key, **_: load_outcome(workspace, key))
    assert "with one context" not in asked("compare", shelf.model.digest, "--path", "a", "--path", "b")
    assert "GPU memory" not in report([load_outcome(shelf.workspace, key) for key in (shelf.fp16, shelf.fp32)])
