"""Which worker a run elsewhere is for, and what of the job engine's own that rests on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from dbos._core import ActiveWorkflowById

from core.base.availability import Availability
from core.base.gpus import RunsOn
from core.jobs.job import Worker, WorkerCard
from core.jobs.runs import able, device_type_for, hear, one_at_a_time, queue_of, queues_for, why_not
from core.stages.toolchains import Toolchain

RTX = RunsOn(devices=("cuda",), backend="tensorrt_rtx", title="TensorRT-RTX", capabilities=("8.9", "12.x"), where="a GPU")
HAS = Availability(available=True, version="1.7", builds_on=("cpu",), runs_on=("cuda",))
LACKS = Availability(available=False, reason="It is not installed.")


def card(device_type: str = "cuda", capability: str | None = "8.9", offer: Availability = HAS) -> WorkerCard:
    chain = Toolchain(name="default", python="/python", version="3.11.7", backends={"tensorrt_rtx": offer})
    return WorkerCard(
        id=f"{device_type}-{capability}",
        host="host",
        pid=1,
        device=f"{device_type}:0",
        device_type=device_type,
        device_name="one",
        capability=capability,
        toolchains=(chain,),
    )


def worker(of: WorkerCard, *, alive: bool = True) -> Worker:
    return Worker(card=of, alive=alive, beat_age_seconds=0.0)


CASES = [
    (card(), ""),
    (card(capability="12.1"), ""),
    (card(capability="9.0"), "has compute capability 9.0"),
    (card(capability=None), "does not tell its compute capability"),
    (card(offer=LACKS), "has no TensorRT-RTX"),
    (card(offer=replace(HAS, cannot_run="cuda-bindings is not installed.")), "cannot run it: cuda-bindings is not installed"),
    (card("cpu", None), "is a worker for cpu"),
]


@pytest.mark.parametrize(("of", "reason"), CASES)
def test_a_worker_that_cannot_run_it_says_why(of: WorkerCard, reason: str) -> None:
    assert why_not(of, RTX) == reason


@pytest.mark.parametrize(("of", "reason"), CASES)
def test_a_worker_hears_the_runs_that_it_can_carry_out_alone(of: WorkerCard, reason: str) -> None:
    queue = queue_of("cuda", RTX)
    assert queue == "cuda/tensorrt_rtx/8.9,12.x"
    assert queues_for(of, ["cpu", "cuda", queue, "cuda/other/"]) == [of.device_type, *([] if reason else [queue])]


def test_a_run_for_any_gpu_is_heard_by_all_that_have_the_backend() -> None:
    queue = queue_of("cuda", replace(RTX, capabilities=()))
    assert queues_for(card(capability=None), [queue]) == ["cuda", queue]
    assert queues_for(card(offer=LACKS), [queue]) == ["cuda"]


def test_a_dead_worker_is_none() -> None:
    dead, living = worker(card(), alive=False), worker(card(capability="12.0"))
    assert able([dead, living], RTX) == [living]


def test_it_goes_to_the_device_type_that_somebody_has() -> None:
    either = replace(RTX, devices=("npu", "cuda"))
    assert device_type_for(either, [worker(card())]) == "cuda"
    assert device_type_for(either, [worker(card(capability="9.0"))]) == "npu"


def test_all_queues_of_a_worker_share_its_one_job() -> None:
    """What `hear` and `one_at_a_time` change is the job engine's own; another release may have it elsewhere."""
    engine = SimpleNamespace(_listening_queues=["cuda"], _active_workflows_set=ActiveWorkflowById())
    one_at_a_time(engine)
    entry = engine._active_workflows_set.add("job", "cuda")
    assert engine._active_workflows_set.count_for_queue("cuda/tensorrt_rtx/8.9") == 1
    entry.release()
    assert engine._active_workflows_set.count_for_queue("cuda") == 0
    hear(engine, ["cuda", "cuda/tensorrt_rtx/8.9"])
    assert engine._listening_queues == ["cuda", "cuda/tensorrt_rtx/8.9"]
