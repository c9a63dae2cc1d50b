"""What a queued job waits for."""

from __future__ import annotations

from dataclasses import replace

from core.base.units import digest
from core.jobs.job import Job, JobKind, JobState, Priority, Worker, WorkerCard
from core.jobs.waiting import with_devices
from core.request.build_request import BuildRequest
from core.storage.builds import StageName, StageRecord, State
from core.storage.duels import Contestant, Duel

REQUEST = BuildRequest(model="a", path="onnx.onnxruntime")
STAGES = (StageRecord(stage=StageName.BUILD, state=State.DONE), StageRecord(stage=StageName.MEASURE, state=State.RUNNING))


def job(name: str, state: JobState = JobState.QUEUED, *, at: float = 0.0, **changes: object) -> Job:
    request = replace(REQUEST, seed=int(at))
    one = Job(
        id=name,
        key=request.key,
        request=request,
        model_name="digits",
        state=state,
        priority=Priority.NORMAL,
        stages=STAGES if state is JobState.RUNNING else (),
        submitted_at=at,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def worker(device: str = "cpu:0", at: str | None = None, *, alive: bool = True) -> Worker:
    kind = device.partition(":")[0]
    card = WorkerCard(id=device, host="one", pid=1, device=device, device_type=kind, device_name="A processor")
    return Worker(card=card, alive=alive, beat_age_seconds=0.0, job=at)


RUNNING = job("r", JobState.RUNNING, left="about 40 s", remaining_seconds=40.0)
AT_WORK = f"build {digest(RUNNING.key)} (digits, ONNX Runtime in fp32) is measuring, about 40 s"


def waits_on(one: Job, *others: Job, workers: tuple[Worker, ...] = (worker(at="r"),)) -> str:
    return with_devices([one], [one, *others], workers)[0].waits_on


def test_the_device_and_the_build_that_is_at_it_are_named() -> None:
    assert waits_on(job("q", at=5.0), RUNNING) == f"cpu:0: {AT_WORK}"


def test_jobs_before_it_are_counted_by_priority_and_age() -> None:
    before, after = job("b", at=1.0), job("a", at=9.0)
    urgent, elsewhere = job("u", at=8.0, priority=Priority.HIGH), job("e", at=2.0, request=replace(REQUEST, device="cuda"))
    assert waits_on(job("q", at=5.0), RUNNING, before, after) == f"cpu:0: {AT_WORK}, and 1 job before it"
    assert waits_on(job("q", at=5.0), RUNNING, before, urgent, elsewhere) == f"cpu:0: {AT_WORK}, and 2 jobs before it"


def test_of_several_busy_workers_the_one_that_is_free_first_is_named() -> None:
    longer = job("l", JobState.RUNNING, at=3.0, left="2 to 5 min", remaining_seconds=200.0)
    unknown = job("k", JobState.RUNNING, at=4.0)
    workers = (worker("cpu:1", "l"), worker("cpu:0", "r"), worker("cpu:2", "k"))
    assert waits_on(job("q", at=5.0), RUNNING, longer, unknown, workers=workers) == f"cpu:0: {AT_WORK}"


def test_a_build_of_unknown_length_has_none() -> None:
    unknown = job("r", JobState.RUNNING, stages=())
    assert waits_on(job("q", at=5.0), unknown).endswith("(digits, ONNX Runtime in fp32) is starting")


def test_a_free_worker_is_about_to_take_it() -> None:
    assert waits_on(job("q", at=5.0), RUNNING, workers=(worker(at="r"), worker("cpu:1"))) == ""
    assert waits_on(job("q", at=5.0), workers=(worker(),)) == ""


def test_no_worker_is_said() -> None:
    assert waits_on(job("q"), workers=()) == "a worker for cpu: none is running"
    assert waits_on(job("q"), workers=(worker(alive=False), worker("cuda:0"))) == "a worker for cpu: none is running"


def test_others_are_left_as_they_are() -> None:
    for one in (RUNNING, job("d", JobState.DONE), job("w", waits_for="a GPU worker")):
        assert waits_on(one) == ""


def test_a_job_for_one_place_waits_for_the_worker_there() -> None:
    here = job("q", at=5.0, queue="at/one/cpu:0")
    assert waits_on(here, RUNNING, workers=(worker("cpu:1"), worker(at="r"))) == f"cpu:0: {AT_WORK}"
    assert waits_on(here, RUNNING, workers=(worker("cpu:1"),)) == "a worker for one/cpu:0: none is running"


def test_a_head_to_head_at_the_device_is_named_so() -> None:
    engines = tuple(Contestant(key=key, made_at=1.0, title=key) for key in "ab")
    duel = Duel(key="d", model="a", device="cpu", contestants=engines)
    held = job("r", JobState.RUNNING, kind=JobKind.DUEL, duel=duel)
    assert waits_on(job("q", at=5.0), held) == "cpu:0: 2 engines of digits are held head to head"
