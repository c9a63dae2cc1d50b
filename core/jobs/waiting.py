"""What a queued job waits for, in words: a worker that is not there, or a device and the job that is at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.base.units import digest, plural
from core.jobs.job import Job, JobKind, JobState, Worker
from core.jobs.runs import AT, able, queue_at
from core.storage.builds import StageName, State

DOING = {
    StageName.CONVERT: "is being converted",
    StageName.SIMPLIFY: "is being simplified",
    StageName.PRECISION: "is being lowered",
    StageName.BUILD: "is building",
    StageName.INSPECT: "is being inspected",
    StageName.REFERENCE: "computes its reference",
    StageName.PARITY: "is being compared",
    StageName.MEASURE: "is measuring",
}


def with_devices(jobs: Sequence[Job], unfinished: Iterable[Job], workers: Sequence[Worker]) -> list[Job]:
    """The jobs, each queued one with the device that it waits for, and what is at that.

    Args:
        unfinished: All jobs that run or wait.
    """
    known = {job.id: job for job in unfinished}
    return [replace(job, waits_on=_waits_on(job, known, workers)) if _waits(job) else job for job in jobs]


def _waits(job: Job) -> bool:
    return job.state is JobState.QUEUED and not job.waits_for


def _waits_on(job: Job, known: Mapping[str, Job], workers: Sequence[Worker]) -> str:
    alive = _listening(job, workers)
    if not alive:
        return f"a worker for {job.queue.removeprefix(f'{AT}/') if _has_place(job) else job.device}: none is running"
    busy = [(worker, known[worker.job]) for worker in alive if worker.job and worker.job in known]
    if len(busy) < len(alive):
        return ""  # somebody is about to take it
    worker, at_work = min(busy, key=lambda pair: pair[1].remaining_seconds or float("inf"))
    before = sum(_goes_before(other, job) for other in known.values()) if len(alive) == 1 else 0
    queued = f", and {plural(before, 'job')} before it" if before else ""
    return f"{worker.card.device}: {_told(at_work)}{queued}"


def _has_place(job: Job) -> bool:
    return job.queue.startswith(f"{AT}/")


def _listening(job: Job, workers: Sequence[Worker]) -> list[Worker]:
    """The live workers that hear its queue."""
    if _has_place(job):
        return [worker for worker in workers if worker.alive and queue_at(worker.card.place) == job.queue]
    if job.kind is JobKind.RUN and job.runs_on:
        return able(workers, job.runs_on)
    return [worker for worker in workers if worker.alive and worker.card.device_type == job.device]


def _goes_before(other: Job, job: Job) -> bool:
    """Whether another queued job of the same device starts first."""
    if other.id == job.id or other.state is not JobState.QUEUED or other.device != job.device:
        return False
    return (int(other.priority), other.submitted_at) < (int(job.priority), job.submitted_at)


def _told(job: Job) -> str:
    """`build 3eac63416427 (digits, ONNX Runtime in fp32) is measuring, about 40 s`."""
    stage = next((record.stage for record in job.stages if record.state is State.RUNNING), None)
    doing = DOING.get(stage, f"is at {stage.value}") if stage else "is starting"
    left = f", {job.left}" if job.left else ""
    if job.duel:
        progress = f", {job.progress.message}" if job.progress else ""
        return f"{plural(len(job.duel.keys), 'engine')} of {job.model_name} are held head to head{progress}"
    return f"build {digest(job.key)} ({job.model_name}, {job.request.title}) {doing}{left}"
