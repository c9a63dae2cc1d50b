"""An engine measured again: the new figure takes the old one's place when it was taken to its end, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.stored_builds import resnet, store_build, store_model
from core.base.errors import Cancelled, EngineRoomError, Failure, InvalidRequest, RunFailed
from core.base.progress import Progress, Report
from core.base.serialization import read_json, write_json
from core.benchmark.measurement import Measurement
from core.benchmark.statistics import latency
from core.request.build_request import BuildRequest
from core.stages.elsewhere import middle_of, run_engine
from core.stages.outcome import Outcome, load_outcome
from core.storage.builds import BUILD_FILE, Build, Place, Run, StageName, StageRecord, State, result_file
from core.storage.workspace import Workspace

HERE = Place(host="host", device="cpu:0", name="A processor")
L4 = Place(host="gpu-host", device="cuda:0", name="NVIDIA L4", capability="8.9")
MEASURE = StageName.MEASURE


class Shelf:
    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        request = BuildRequest(model=store_model(self.workspace, "net").digest, path="onnx.onnxruntime")
        self.key = store_build(self.workspace, request, graph=resnet("fp16"), median_ms=2.0)
        self.told: list[Progress] = []

    @property
    def folder(self) -> Path:
        return self.workspace.build_folder(self.key)

    @property
    def outcome(self) -> Outcome:
        return load_outcome(self.workspace, self.key)

    def write(self, **changes: object) -> None:
        build = read_json(Build, self.folder / BUILD_FILE)
        write_json(self.folder / BUILD_FILE, replace(build, **changes))  # type: ignore[arg-type]

    def again(self, *medians: float | EngineRoomError, place: Place = HERE) -> Run:
        """Each repeat finds one of these, or ends so."""
        given: Iterator[float | EngineRoomError] = iter(medians)
        known = read_json(Measurement, result_file(self.folder, MEASURE))

        def runner(stage: StageName, folder: Path, report: Report) -> None:
            assert stage is MEASURE
            assert folder != self.folder
            found = next(given)
            if isinstance(found, EngineRoomError):
                raise found
            report(Progress(message="Measuring: 7 runs", fraction=0.5))
            write_json(result_file(folder, stage), replace(known, latency=latency([found] * 10), samples_ms=()))

        def told(run: Run, progress: Progress | None) -> None:
            self.told += [progress] if progress else []

        runs = middle_of(runner, len(medians))
        return run_engine(self.workspace, self.key, place, on_change=told, runner=runs, again=True)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_the_one_in_the_middle_takes_the_place_of_the_old_one(shelf: Shelf) -> None:
    before = shelf.outcome
    run = shelf.again(1.5, 1.1, 1.3)
    assert (run.state, run.place, [record.stage for record in run.stages]) == (State.DONE, HERE, [MEASURE])
    after = shelf.outcome
    assert after.measurement is not None
    assert after.measurement.latency.median_ms == 1.3
    kept = replace(before, measurement=None, build=replace(before.build, stages=()))
    assert replace(after, measurement=None, build=replace(after.build, stages=())) == kept
    assert after.build.run is None
    assert after.build.stages[:-1] == before.build.stages[:-1]
    assert after.build.stages[-1] == run.stages[0]
    assert list((shelf.workspace.root / "tmp").iterdir()) == []


def test_each_repeat_is_told(shelf: Shelf) -> None:
    shelf.again(1.5, 1.1, 1.3)
    assert [(one.message, one.fraction) for one in shelf.told] == [
        ("1 of 3: Measuring: 7 runs", pytest.approx(0.5 / 3)),
        ("2 of 3: Measuring: 7 runs", pytest.approx(1.5 / 3)),
        ("3 of 3: Measuring: 7 runs", pytest.approx(2.5 / 3)),
    ]


@pytest.mark.parametrize(
    ("ending", "state"), [(RunFailed("The device is gone."), State.FAILED), (Cancelled("Stop."), State.CANCELLED)]
)
def test_what_was_not_taken_to_its_end_changes_nothing(shelf: Shelf, ending: EngineRoomError, state: State) -> None:
    files = {file: file.read_bytes() for file in shelf.folder.iterdir()}
    run = shelf.again(1.5, 1.1, ending)
    assert run.state is state
    assert (run.error.message if run.error else None) == ("The device is gone." if state is State.FAILED else None)
    assert {file: file.read_bytes() for file in shelf.folder.iterdir()} == files
    assert shelf.outcome.build.state is State.DONE
    assert shelf.outcome.parity is not None
    assert shelf.outcome.parity.on_par


def test_a_run_elsewhere_keeps_its_place(shelf: Shelf) -> None:
    records = tuple(StageRecord(stage=stage, state=State.DONE, started_at=5.0) for stage in (StageName.PARITY, MEASURE))
    first = Run(place=L4, state=State.DONE, stages=records, built_at=1.8e9 - 60, started_at=4.0)
    shelf.write(run=first, stages=shelf.outcome.build.stages[:2])
    run = shelf.again(0.7, place=L4)
    build = shelf.outcome.build
    assert build.run == replace(first, stages=(records[0], run.stages[0]))
    assert build.ran_elsewhere == L4
    assert len(build.stages) == 2


def test_an_engine_whose_measuring_had_failed_gets_its_figure(shelf: Shelf) -> None:
    error = Failure(kind="RunFailed", message="Out of memory.", hint="")
    shelf.write(stages=(*shelf.outcome.build.stages[:-1], StageRecord(stage=MEASURE, state=State.FAILED, error=error)))
    assert not shelf.outcome.build.settled
    shelf.again(1.0)
    assert shelf.outcome.build.settled
    assert shelf.outcome.build.error is None


def test_a_build_that_was_made_anew_meanwhile_keeps_its_own(shelf: Shelf) -> None:
    known = read_json(Measurement, result_file(shelf.folder, MEASURE))

    def runner(stage: StageName, folder: Path, report: Report) -> None:
        shelf.write(created_at=2e9)
        write_json(result_file(folder, stage), known)

    with pytest.raises(InvalidRequest, match="made anew"):
        run_engine(shelf.workspace, shelf.key, HERE, on_change=lambda *_: None, runner=runner, again=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": State.CANCELLED}, "has no engine to measure: it is cancelled"),
        ({"state": State.RUNNING}, "has no engine to measure: it is running"),
        ({"not_run": "not run here: it runs on a GPU"}, "was not measured yet: not run here"),
    ],
)
def test_what_has_no_figure_of_its_own_is_refused(shelf: Shelf, changes: dict[str, object], words: str) -> None:
    shelf.write(**changes)
    with pytest.raises(InvalidRequest, match=words):
        shelf.again(1.0)
