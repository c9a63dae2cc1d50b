"""A run of a stored build's engine: what the build takes of it, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.stored_builds import store_build, store_model
from core.base.errors import Cancelled, InvalidRequest, NotFound, RunFailed
from core.base.progress import Report
from core.base.serialization import read_json, write_json
from core.graph.engine_graph import EngineGraph, Layer
from core.request.build_request import BuildRequest
from core.stages.elsewhere import run_engine
from core.stages.outcome import load_outcome
from core.storage.builds import BUILD_FILE, Build, Place, Run, StageName, StageRecord, State, result_file
from core.storage.workspace import Workspace

L4 = Place(host="gpu-host", device="cuda:0", name="NVIDIA L4", capability="8.9")
A10 = Place(host="other-host", device="cuda:1", name="NVIDIA A10", capability="8.6")
NOT_RUN = "not run here: it runs on a GPU"
LAYERS = EngineGraph(layers=(Layer(name="conv", kind="Conv"),), source_nodes=())
INSPECT, PARITY, MEASURE = StageName.INSPECT, StageName.PARITY, StageName.MEASURE
Act = Callable[[Path], None]


class Shelf:
    """A build that was not run, and one that was measured, whose results stand for those of a run."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        model = store_model(self.workspace, "net").digest
        request = BuildRequest(model=model, path="onnx.onnxruntime")
        self.measured = store_build(self.workspace, request, graph=LAYERS.with_times({"conv": 0.5}), median_ms=2.0)
        built = [StageRecord(stage=stage, state=State.DONE) for stage in (StageName.BUILD, INSPECT, StageName.REFERENCE)]
        self.key = store_build(self.workspace, replace(request, seed=1), graph=LAYERS, median_ms=1.0, stages=built)
        self.folder = self.workspace.build_folder(self.key)
        self.write(replace(self.build, not_run=NOT_RUN))
        for stage in (PARITY, MEASURE):
            result_file(self.folder, stage).unlink()

    @property
    def build(self) -> Build:
        return read_json(Build, self.folder / BUILD_FILE)

    def write(self, build: Build) -> None:
        write_json(self.folder / BUILD_FILE, build)

    def run(self, place: Place = L4, **acts: Act) -> Run:
        """A run whose stages leave what the measured build's have, but for those that act."""
        asked: list[StageName] = []

        def runner(stage: StageName, folder: Path, report: Report) -> None:
            asked.append(stage)
            assert folder.parent.parent == self.workspace.root
            assert read_json(BuildRequest, folder / "request.json").key == self.key
            if stage.value in acts:
                acts[stage.value](folder)
            else:
                source = result_file(self.workspace.build_folder(self.measured), stage)
                result_file(folder, stage).write_bytes(source.read_bytes() if source.exists() else b"{}")

        run = run_engine(self.workspace, self.key, place, on_change=lambda *_: None, runner=runner)
        self.asked: Sequence[StageName] = asked
        return run


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def refuse(_: Path) -> None:
    raise RunFailed("The engine cannot run on this GPU.")


def cancel(_: Path) -> None:
    raise Cancelled("Stop.")


def leftovers(shelf: Shelf) -> list[Path]:
    return list((shelf.workspace.root / "tmp").iterdir())


def test_the_build_takes_what_a_run_has_found(shelf: Shelf) -> None:
    before = shelf.build
    run = shelf.run()
    assert list(shelf.asked) == [INSPECT, PARITY, MEASURE]
    outcome = load_outcome(shelf.workspace, shelf.key)
    assert outcome.build == replace(before, not_run="", run=run)
    assert (run.state, run.place, run.built_at) == (State.DONE, L4, before.created_at)
    assert outcome.build.ran_elsewhere == L4
    assert (outcome.build.ran_on, outcome.build.request.device) == ("cuda", "cpu")
    assert outcome.measurement is not None
    assert outcome.parity is not None
    assert outcome.graph is not None
    assert outcome.graph.layers[0].time_ms == 0.5
    assert leftovers(shelf) == []


def test_a_run_that_fails_is_told_and_takes_nothing(shelf: Shelf) -> None:
    run = shelf.run(parity=refuse, measure=refuse)
    assert run.state is State.FAILED
    outcome = load_outcome(shelf.workspace, shelf.key)
    assert outcome.build.state is State.DONE
    assert outcome.graph == LAYERS, "the layers of the build are as they were"
    assert outcome.parity is outcome.measurement is None
    why = "on NVIDIA L4 (cuda:0, compute capability 8.9) of gpu-host it failed: The engine cannot run on this GPU."
    assert outcome.build.missing(MEASURE) == f"{NOT_RUN}; {why}"
    assert outcome.build.ran_elsewhere is None
    shelf.run()
    assert shelf.build.not_run == shelf.build.failed_run == ""


def test_a_run_that_fails_or_is_cancelled_leaves_the_figures_of_another(shelf: Shelf) -> None:
    shelf.run()
    first = load_outcome(shelf.workspace, shelf.key)
    assert shelf.run(A10, measure=refuse).state is State.FAILED
    assert shelf.run(A10, parity=cancel).state is State.CANCELLED
    assert list(shelf.asked) == [INSPECT, PARITY]
    assert load_outcome(shelf.workspace, shelf.key) == first
    assert leftovers(shelf) == []


def test_the_last_run_counts_whole(shelf: Shelf) -> None:
    shelf.run()
    run = shelf.run(A10, parity=refuse, inspect=refuse)
    outcome = load_outcome(shelf.workspace, shelf.key)
    assert outcome.build.ran_elsewhere == A10
    assert outcome.measurement is not None
    assert outcome.parity is None, "what the other GPU gave is gone"
    assert outcome.graph == LAYERS, "times that another GPU took are gone"
    assert outcome.build.missing(PARITY) == "its stage failed: The engine cannot run on this GPU."
    assert run.error is not None


def test_a_stage_that_dies_over_the_times_leaves_its_layers(shelf: Shelf) -> None:
    told = replace(LAYERS, notes=("told again",))

    def die(folder: Path) -> None:
        write_json(result_file(folder, INSPECT), told)
        raise RunFailed("It was ended by SIGSEGV.")

    shelf.run(inspect=die)
    assert load_outcome(shelf.workspace, shelf.key).graph == told


def test_a_reference_that_the_build_lacks_is_computed_with_the_run(shelf: Shelf) -> None:
    shelf.write(replace(shelf.build, stages=shelf.build.stages[:2]))
    shelf.run(reference=lambda folder: result_file(folder, StageName.REFERENCE).write_text('{"artifact": "a"}') and None)
    assert list(shelf.asked) == [INSPECT, StageName.REFERENCE, PARITY, MEASURE]
    assert result_file(shelf.folder, StageName.REFERENCE).exists()


def test_a_build_that_was_made_anew_or_deleted_meanwhile_takes_nothing(shelf: Shelf) -> None:
    def make_anew(_: Path) -> None:
        shelf.write(replace(shelf.build, created_at=2e9))

    with pytest.raises(InvalidRequest, match="made anew"):
        shelf.run(inspect=make_anew)
    assert shelf.build.run is None
    with pytest.raises(NotFound, match="was deleted"):
        shelf.run(inspect=lambda _: (shelf.folder / BUILD_FILE).unlink())


def test_what_another_build_left_is_not_this_ones(shelf: Shelf) -> None:
    source = result_file(shelf.workspace.build_folder(shelf.measured), MEASURE)
    result_file(shelf.folder, MEASURE).write_bytes(source.read_bytes())
    assert load_outcome(shelf.workspace, shelf.key).measurement is None


def test_records_of_earlier_releases_are_read(shelf: Shelf) -> None:
    text = (shelf.workspace.build_folder(shelf.measured) / BUILD_FILE).read_text()
    for name in ("runs_on", "built_on", "run", "not_run"):
        lines = [line for line in text.splitlines() if not line.startswith(f' "{name}"')]
        text = "\n".join(lines)
    path = shelf.workspace.build_folder(shelf.measured) / BUILD_FILE
    path.write_text(text.rstrip("\n}").rstrip(",\n ") + "\n}")
    build = load_outcome(shelf.workspace, shelf.measured).build
    assert (build.runs_on, build.built_on, build.run, build.not_run) == (None, None, None, "")
    assert build.ran_on == "cpu"
