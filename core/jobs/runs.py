"""Runs elsewhere, as jobs: a queue for each thing that engines run on, heard by the workers that have it.

So a job that waits for another GPU holds nobody up. A worker hears several queues and still works on one job at a time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.base.availability import Availability
from core.base.errors import InvalidRequest
from core.base.gpus import RunsOn, fits
from core.base.serialization import read_json, to_data
from core.base.units import digest
from core.jobs.job import RUN_WORKFLOW, Job, JobKind, JobState, Priority, Ticket, Worker, WorkerCard
from core.jobs.rows import ending_of
from core.stages.elsewhere import AGAIN, run_stages
from core.stages.outcome import Outcome
from core.stages.pipeline import plan
from core.stages.stage import Needs
from core.storage.builds import BUILD_FILE, Build, Place, Run, StageName, State
from core.storage.workspace import Workspace

POLL_SECONDS = 0.35  # for new jobs
AT = "at"  # no device type: they are "cpu", "cuda"


def queue_of(device_type: str, runs_on: RunsOn) -> str:
    """The queue of runs for a device type: `cuda/tensorrt_rtx/8.6,8.9`."""
    return f"{device_type}/{runs_on.backend}/{','.join(runs_on.capabilities)}"


def queue_at(place: Place) -> str:
    """The queue of what only one place can do: `at/gpu-host/cuda:0`."""
    return f"{AT}/{place.host}/{place.device}"


def why_not(card: WorkerCard, runs_on: RunsOn) -> str:
    """Why a worker cannot run an engine, in a phrase: "has no TensorRT-RTX", "has compute capability 9.0"; empty when it can."""
    if card.device_type not in runs_on.devices:
        return f"is a worker for {card.device_type}"
    offers = offers_of(card, runs_on.backend)
    if not offers:
        return f"has no {runs_on.title}"
    if all(offer.cannot_run for offer in offers):
        return f"cannot run it: {offers[0].cannot_run.removesuffix('.')}"
    if not fits(card.capability, runs_on.capabilities):
        return f"has compute capability {card.capability}" if card.capability else "does not tell its compute capability"
    return ""


def offers_of(card: WorkerCard, backend: str) -> list[Availability]:
    """The backend as it works in each of a worker's toolchains; empty where it does in none."""
    offers = (chain.backends.get(backend) for chain in card.toolchains)
    return [offer for offer in offers if offer and offer.available]


def able(workers: Iterable[Worker], runs_on: RunsOn) -> list[Worker]:
    """The live workers that can run an engine."""
    return [worker for worker in workers if worker.alive and not why_not(worker.card, runs_on)]


def device_type_for(runs_on: RunsOn, workers: Iterable[Worker]) -> str:
    """The device type that a run goes to: one that a worker can run it on now, else the first that it runs on."""
    return next((worker.card.device_type for worker in able(workers, runs_on)), runs_on.devices[0])


def register(client: Any, queue: str) -> None:
    """Makes a queue known to the workers."""
    client.register_queue(queue, worker_concurrency=1, polling_interval_sec=POLL_SECONDS, on_conflict="always_update")


def queues_for(card: WorkerCard, known: Iterable[str]) -> list[str]:
    """The queues that a worker hears: its device type's, and of those that are known the runs it can carry out."""
    return [card.device_type, *(name for name in known if _can(card, name) or name == queue_at(card.place))]


def _can(card: WorkerCard, queue: str) -> bool:
    device_type, _, rest = queue.partition("/")
    backend, _, capabilities = rest.partition("/")
    wanted = tuple(filter(None, capabilities.split(",")))
    runs_on = RunsOn(devices=(device_type,), backend=backend, title=backend, capabilities=wanted, where=queue)
    return not why_not(card, runs_on)


def send_run(
    client: Any,
    build: Build,
    runs_on: RunsOn,
    *,
    model_name: str,
    needs: Mapping[StageName, Needs],
    workers: Iterable[Worker],
    priority: Priority = Priority.NORMAL,
) -> tuple[str, bool]:
    """Queues the run of a build's engine; the job's id, and whether it is a new one: it joins the one that is queued already.

    Args:
        needs: What each stage needs of a toolchain.
        workers: Those that there are.
    """
    queue = queue_of(device_type_for(runs_on, workers), runs_on)
    ticket = run_ticket(build, run_stages(build), runs_on, model_name, needs)
    register(client, queue)
    return enqueue(client, RUN_WORKFLOW, queue, ticket, priority)


def run_ticket(
    build: Build, stages: tuple[StageName, ...], runs_on: RunsOn | None, model_name: str, needs: Mapping[StageName, Needs]
) -> Ticket:
    """What a job carries that runs a stored build's engine, for these stages."""
    return Ticket(
        key=build.key,
        request=build.request,
        model_name=model_name,
        stages=stages,
        runs_on=runs_on,
        needs=dict(needs),
        submitted_at=time.time(),
    )


def enqueue(client: Any, workflow: str, queue: str, ticket: Ticket, priority: Priority, *, once: str = "") -> tuple[str, bool]:
    """Queues a job, or finds the unfinished one of the same key there; its id, and whether it is a new one.

    Args:
        once: What there is one job of at a time, where that is not the ticket's key.
    """
    proposed = secrets.token_hex(6)
    handle = client.enqueue(
        {
            "workflow_name": workflow,
            "queue_name": queue,
            "workflow_id": proposed,
            "deduplication_id": once or ticket.key,
            "duplication_policy": "return-existing",
            "priority": int(priority),
        },
        to_data(ticket),
    )
    job = str(handle.get_workflow_id())
    return job, job == proposed


def what_runs(outcome: Outcome) -> RunsOn:
    """What the engine of a build runs on, where that is elsewhere.

    Raises:
        InvalidRequest: It has no engine, or one that runs where it was built.
    """
    build, name = outcome.build, digest(outcome.build.key)
    if build.state is not State.DONE or outcome.built is None:
        raise InvalidRequest(f"Build {name} has no engine to run: it is {build.state.value}.", hint="Build it first.")
    if runs_on := build.runs_on or plan(build.request, outcome.model).runs_on:
        return runs_on
    hint = f"`engineroom bench {name}` measures it again."
    raise InvalidRequest(f"The engine of build {name} runs where it was built.", hint=hint)


def with_waits(jobs: Iterable[Job], workers: Sequence[Worker]) -> list[Job]:
    """The jobs, those with what they wait for that no worker of these is at: a run without a fitting one, a lost one's job."""
    alive = {worker.card.id for worker in workers if worker.alive}
    return [_lost(job) if job.state is JobState.RUNNING and job.worker not in alive else _waiting(job, workers) for job in jobs]


def _lost(job: Job) -> Job:
    """A job whose worker is gone: it stands in the queue again as soon as another worker notices."""
    return replace(job, state=JobState.QUEUED, progress=None, waits_for="another worker, as the one that had it is gone")


def _waiting(job: Job, workers: Sequence[Worker]) -> Job:
    return replace(job, waits_for=job.runs_on.worker) if _waits(job, workers) and job.runs_on else job


def _waits(job: Job, workers: Sequence[Worker]) -> bool:
    queued = job.kind is JobKind.RUN and job.state is JobState.QUEUED
    return queued and job.runs_on is not None and not able(workers, job.runs_on)


def lacking_runs(workspace: Workspace, rows: Iterable[Any]) -> Iterator[str]:
    """Keys of the builds here that have not yet taken what became of their newest run elsewhere.

    Args:
        rows: The engine's, of runs that ended, newest first.
    """
    seen: set[str] = set()
    for row in rows:
        ending, key = ending_of(row), str(row.input["args"][0]["key"])
        if ending is None or (run := ending.run) is None or key in seen:
            continue
        path = workspace.build_folder(key) / BUILD_FILE
        build = read_json(Build, path) if path.exists() else None
        if build is None or build.created_at != run.built_at:
            continue
        again = tuple(record.stage for record in run.stages) == AGAIN
        if run.state is State.DONE or (run.state is State.FAILED and build.ran_elsewhere is None and not again):
            seen.add(key)
            if _lacks_measurement(build, run) if again else build.run is None or build.run.started_at != run.started_at:
                yield key


def _lacks_measurement(build: Build, run: Run) -> bool:
    """Whether what was measured again is newer than the figure here."""
    measured = next((record.started_at for record in build.all_stages if record.stage is StageName.MEASURE), None)
    return (measured or 0.0) < (run.stages[0].started_at or 0.0)


def hear(dbos: Any, queues: Sequence[str]) -> None:
    """Has a launched worker hear these queues; `listen_queues` does so before the launch alone.

    Internal, see docs/decisions/0031: the engine asks this list once a second which of the known queues to work on.
    """
    dbos._listening_queues = list(queues)


def one_at_a_time(dbos: Any) -> None:
    """Has all queues of a worker share the one job that each would allow alone.

    Internal, as above. Two queues asked in the same instant can still give a job each: the device's lock has one of them wait.
    """
    active = dbos._active_workflows_set
    active.count_for_queue = lambda _: len(active.activeList())
