"""Layer times that contradict the latency are said to, and nothing is ranked or advised by them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from bench.stored_builds import fill, resnet, store_build, store_model
from core.analysis.board import board
from core.analysis.contradiction import contradiction_in, contradiction_of, trusted_graph
from core.analysis.diff import diff_builds
from core.analysis.finding import FindingKind
from core.analysis.findings import findings_of
from core.analysis.layers import total_time_ms
from core.analysis.summary import build_figures
from core.base.files import WORKSPACE_VARIABLE
from core.benchmark.gpu import GpuRun, GpuTimes
from core.benchmark.measurement import Measurement
from core.benchmark.statistics import latency
from core.cli.app import app
from core.cli.builds import outcome_as_data, show_outcome
from core.graph.engine_graph import EngineGraph, Layer
from core.report.page import report
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome, load_outcome
from core.storage.workspace import Workspace


def layers(*times_ms: float | None) -> EngineGraph:
    return EngineGraph(
        layers=tuple(Layer(name=f"l{n}", kind="Conv", time_ms=ms) for n, ms in enumerate(times_ms)), source_nodes=()
    )


def measured(like: Measurement, median_ms: float, gpu: GpuTimes | None = None) -> Measurement:
    return replace(like, latency=latency([median_ms] * 10), gpu=gpu)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def known(workspace: Workspace) -> Measurement:
    shelf = fill(workspace)
    found = load_outcome(workspace, shelf.fp32).measurement
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("layers_ms", "median_ms", "contradicts"),
    [
        (9.0, 1.0, True),
        (3.01, 1.0, True),
        (3.0, 1.0, False),
        (1.97, 1.0, False),  # the most that was seen where both were sound
        (0.92, 1.0, False),  # the least
        (0.34, 1.0, False),
        (0.33, 1.0, True),
        (0.1, 1.0, True),
    ],
)
def test_beyond_three_times_either_way(known: Measurement, layers_ms: float, median_ms: float, contradicts: bool) -> None:
    found = contradiction_of(layers(layers_ms / 3, None, 2 * layers_ms / 3), measured(known, median_ms))
    assert (found is not None) is contradicts


def test_what_was_not_measured_contradicts_nothing(known: Measurement) -> None:
    assert contradiction_of(None, known) is None
    assert contradiction_of(layers(9.0), None) is None
    assert contradiction_of(layers(None, None), measured(known, 1.0)) is None
    assert contradiction_of(layers(0.0, 0.0), measured(known, 1.0)) is None


def test_on_a_gpu_its_kernels_are_held_against_its_kernels(known: Measurement) -> None:
    """A small engine with large inputs: 4 ms host to host, 1 ms of kernels, 1.2 ms of layers."""
    figures = latency([1.0] * 10)
    run = GpuRun(transfers=False, graph=False, compute=figures, latency=figures, enqueue_ms=0.1, throughput=1.0)
    assert contradiction_of(layers(1.2), measured(known, 4.0)) is not None
    assert contradiction_of(layers(1.2), measured(known, 4.0, GpuTimes(runs=(run,)))) is None
    assert contradiction_of(layers(9.0), measured(known, 8.0, GpuTimes(runs=(run,)))) is not None


def test_the_sentence_has_the_figures(known: Measurement) -> None:
    more, less = (contradiction_of(layers(ms), measured(known, 1.0)) for ms in (9.0, 0.1))
    assert more is not None
    assert less is not None
    assert more.text == "The layers' times sum to 9.00 ms, 9.0 times the median latency of 1.00 ms."
    assert less.text == "The layers' times sum to 0.100 ms, 0.10 of the median latency of 1.00 ms."
    assert "--force" in more.meaning
    assert "outside of its layers" in less.meaning


@pytest.fixture(scope="module")
def pair(workspace: Workspace) -> tuple[Outcome, Outcome]:
    """The same engine twice, a layer of which took most of the time: sound, and with a latency of a twentieth."""
    graph = resnet("fp16")
    heavy = (replace(graph.layers[5], time_ms=2.0), replace(graph.layers[9], kind="Reformat", time_ms=0.2))
    graph = replace(graph, layers=(*graph.layers[:5], heavy[0], *graph.layers[6:9], heavy[1], *graph.layers[10:]))
    total = total_time_ms(graph) or 0.0
    request = BuildRequest(model=store_model(workspace, "doubtful").digest, path="onnx.tensorrt", device="cuda", signature="main")
    sound = store_build(workspace, request, graph=graph, median_ms=total, size_bytes=1)
    doubtful = store_build(workspace, replace(request, threads=2), graph=graph, median_ms=total / 20, size_bytes=1)
    return load_outcome(workspace, sound), load_outcome(workspace, doubtful)


def test_findings_by_time_give_way_to_one_that_says_why(pair: tuple[Outcome, Outcome]) -> None:
    sound, doubtful = (findings_of(outcome) for outcome in pair)
    assert FindingKind.DOMINANT in {one.kind for one in sound}
    assert FindingKind.PROFILE not in {one.kind for one in sound}
    first, *others = doubtful
    assert first.kind is FindingKind.PROFILE
    assert "20 times the median latency" in first.message
    assert first.mend is None
    assert not {FindingKind.DOMINANT, FindingKind.TINY} & {one.kind for one in others}
    assert all(one.share is None and "of the time" not in one.message for one in others)


def test_nothing_is_weighed_by_such_times(pair: tuple[Outcome, Outcome]) -> None:
    sound, doubtful = pair
    assert trusted_graph(sound) is sound.graph
    rows = {row.key: row for row in board(pair)}
    assert rows[sound.build.key].realized.agreeing_time is not None  # type: ignore[union-attr]
    assert rows[doubtful.build.key].realized.agreeing_time is None  # type: ignore[union-attr]
    told = [" ".join(text for figure in build_figures(one) for text in figure.against) for one in pair]
    assert ["of the time" in text for text in told] == [True, False]
    diff = diff_builds(sound, doubtful)
    assert diff is not None
    assert all(row.b_ms is None and row.delta_ms is None for row in diff.rows)
    assert diff.notes[0].startswith("B: The layers' times sum to")
    assert all(row.delta_ms is not None for row in diff_builds(sound, sound).rows)  # type: ignore[union-attr]


def test_report_command_line_and_json_say_it(
    pair: tuple[Outcome, Outcome], workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    sound, doubtful = pair
    found = contradiction_in(doubtful)
    assert found is not None
    escaped = found.text.replace("'", "&#x27;")
    assert escaped in report([doubtful])
    assert "median latency of" not in report([sound])
    for outcome in pair:
        show_outcome(outcome)
    assert capsys.readouterr().out.count("The layers' times sum to") == 1
    assert outcome_as_data(sound)["layer_times_contradict"] == ""
    assert outcome_as_data(doubtful)["layer_times_contradict"].startswith(found.text)

    def asked(*words: str) -> str:
        return CliRunner().invoke(app, list(words), catch_exceptions=False).output

    assert "Layer times contradict the latency" in asked("findings", doubtful.build.key)
    assert json.loads(asked("findings", doubtful.build.key, "--json"))["findings"][0]["kind"] == FindingKind.PROFILE.value
    assert found.text in asked("layers", doubtful.build.key)
    assert found.text not in asked("layers", sound.build.key)
