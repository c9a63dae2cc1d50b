"""Where an engine is measured again: on the device that its figures are from, or on none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.base.errors import InvalidRequest, NotFound
from core.base.serialization import to_data, write_json
from core.jobs.again import check_place, lacks_place, queue_for
from core.jobs.job import Ending, Job, JobKind, JobState, Priority, Worker, WorkerCard
from core.jobs.runs import lacking_runs, queue_at, queues_for
from core.request.build_request import BuildRequest
from core.storage.builds import BUILD_FILE, Build, Place, Run, StageName, StageRecord, State
from core.storage.workspace import Workspace

REQUEST = BuildRequest(model="a", path="onnx.onnxruntime")
XEON = Place(host="one", device="cpu:0", name="Xeon")
L4 = Place(host="gpu-host", device="cuda:1", name="NVIDIA L4", capability="8.9")
MEASURED = StageRecord(stage=StageName.MEASURE, state=State.DONE, started_at=10.0)


def build(**changes: object) -> Build:
    one = Build(key=REQUEST.key, request=REQUEST, state=State.DONE, stages=(MEASURED,), created_at=1.0, built_on=XEON)
    return replace(one, **changes)  # type: ignore[arg-type]


def ran(place: Place = L4, *stages: StageRecord, started_at: float = 5.0, state: State = State.DONE) -> Run:
    records = stages or (StageRecord(stage=StageName.PARITY, state=State.DONE), MEASURED)
    return Run(place=place, state=state, stages=records, built_at=1.0, started_at=started_at)


def worker(place: Place, *, alive: bool = True) -> Worker:
    card = WorkerCard(
        id=f"{place.host}/{place.device}",
        host=place.host,
        pid=1,
        device=place.device,
        device_type=place.device.partition(":")[0],
        device_name=place.name,
    )
    return Worker(card=card, alive=alive, beat_age_seconds=0.0)


EPYC = Place(host="two", device="cpu:0", name="EPYC")


@pytest.mark.parametrize(
    ("of", "workers", "queue"),
    [
        (build(), [], "cpu"),
        (build(), [worker(XEON), worker(L4)], "cpu"),
        (build(), [worker(XEON), worker(EPYC)], "at/one/cpu:0"),
        (build(), [worker(EPYC)], "at/one/cpu:0"),
        (build(), [worker(EPYC), worker(replace(XEON, host="three"))], "at/three/cpu:0"),  # the same kind of device
        (build(), [worker(EPYC, alive=False)], "cpu"),
        (build(built_on=None), [worker(EPYC), worker(XEON)], "cpu"),
        (build(run=ran(), stages=()), [worker(XEON), worker(L4)], "cuda"),
        (build(run=ran(), stages=()), [worker(replace(L4, name="NVIDIA A10"))], "at/gpu-host/cuda:1"),
    ],
)
def test_it_goes_to_the_place_of_the_old_figure(of: Build, workers: Sequence[Worker], queue: str) -> None:
    assert queue_for(of, workers) == queue


def test_the_queue_of_a_place_is_heard_there_alone() -> None:
    known = ["cpu", queue_at(XEON), queue_at(EPYC), queue_at(L4)]
    assert queues_for(worker(XEON).card, known) == ["cpu", "at/one/cpu:0"]
    assert queues_for(worker(L4).card, known) == ["cuda", "at/gpu-host/cuda:1"]


def test_a_place_without_a_worker_is_told() -> None:
    assert lacks_place(build(), [worker(XEON)]) == ""
    assert lacks_place(build(built_on=None), [worker(EPYC)]) == ""
    assert lacks_place(build(), []) == "No worker for 'cpu' is running: start one there with `engineroom worker`."
    assert lacks_place(build(), [worker(EPYC)]).startswith("No worker for Xeon (cpu:0) of one is running")


def test_a_worker_on_another_device_refuses(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(NotFound, match="was deleted"):
        check_place(workspace, REQUEST.key, XEON)
    write_json(workspace.build_folder(REQUEST.key) / BUILD_FILE, build())
    check_place(workspace, REQUEST.key, replace(XEON, host="three"))
    with pytest.raises(InvalidRequest, match=r"are from Xeon .* and this is EPYC .*: they stay as they are"):
        check_place(workspace, REQUEST.key, EPYC)


def row(run: Run) -> Any:
    ending = Ending(started_at=1.0, finished_at=2.0, run=run)
    return SimpleNamespace(status="SUCCESS", output=to_data(ending), input={"args": [{"key": REQUEST.key}]})


def again(started_at: float, state: State = State.DONE) -> Run:
    return ran(XEON, replace(MEASURED, started_at=started_at, state=state), started_at=started_at, state=state)


@pytest.mark.parametrize(
    ("here", "rows", "lacks"),
    [
        (build(), [again(20.0)], True),
        (build(), [again(10.0)], False),  # taken
        (build(), [again(8.0)], False),  # `engineroom bench` measured it here since
        (build(), [again(20.0, State.FAILED)], False),
        (build(run=ran(), stages=()), [again(20.0), ran()], True),
        (build(run=ran(), stages=()), [again(20.0, State.FAILED), ran()], False),
        (build(stages=()), [again(20.0, State.FAILED), ran()], True),
    ],
)
def test_a_host_brings_what_was_measured_again_elsewhere(here: Build, rows: list[Run], lacks: bool, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_json(workspace.build_folder(REQUEST.key) / BUILD_FILE, here)
    assert list(lacking_runs(workspace, map(row, rows))) == ([REQUEST.key] if lacks else [])


def test_a_job_is_known_by_its_one_stage() -> None:
    def job(kind: JobKind, *stages: StageName) -> Job:
        records = tuple(StageRecord(stage=stage) for stage in stages)
        return Job(
            id="j",
            key=REQUEST.key,
            request=REQUEST,
            model_name="net",
            state=JobState.QUEUED,
            priority=Priority.NORMAL,
            stages=records,
            submitted_at=0.0,
            kind=kind,
        )

    assert job(JobKind.RUN, StageName.MEASURE).measures_again
    assert not job(JobKind.RUN, StageName.INSPECT, StageName.MEASURE).measures_again
    assert not job(JobKind.BUILD, StageName.MEASURE).measures_again
