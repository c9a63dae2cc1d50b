"""A job and its life, as everyone sees it.

    QUEUED -> RUNNING -> DONE
                      -> FAILED
    QUEUED or RUNNING -> CANCELLED
    RUNNING -> QUEUED      its worker died or lost the database; finished stages stay finished

A job is one carrying-out of a build request. The build it leaves has the request's key; several jobs can have had the same
key one after the other (a retry, a forced rebuild), never at the same time. A run is a job of its own kind: it runs the engine
of a build that is there, on a device where it can. So is a duel: it holds the engines of several builds head to head.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from core.base.availability import Availability
from core.base.errors import Failure
from core.base.gpus import RunsOn
from core.base.progress import Progress
from core.request.build_request import BuildRequest
from core.stages.stage import Needs
from core.stages.toolchains import Toolchain
from core.storage.builds import Build, Place, Run, StageName, StageRecord, measuring_failed
from core.storage.duels import Duel

# How the job engine knows our workflow and what it tells.
WORKFLOW = "build"
RUN_WORKFLOW = "run"
DUEL_WORKFLOW = "duel"
WORKFLOWS = (WORKFLOW, RUN_WORKFLOW, DUEL_WORKFLOW)
STATUS_EVENT = "status"
LOG_STREAM = "log"

RETIRE_SIGNAL = signal.SIGUSR1  # tells a worker to end when no job is at work


class JobState(str, Enum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class JobKind(str, Enum):
    """The values are the workflows' names."""

    BUILD = WORKFLOW
    RUN = RUN_WORKFLOW
    DUEL = DUEL_WORKFLOW


class Priority(IntEnum):
    """Of two queued jobs the one with the smaller number starts first; equal ones by age."""

    HIGH = 10
    NORMAL = 100
    LOW = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it stands.

    Attributes:
        key: Of the build that it makes; `core.stages.outcome.load_outcome` shows what a done one found. Of a duel its own.
        stages: One record a stage of the plan, waiting ones included.
        progress: Of the stage that runs now.
        worker: Id of the worker that runs or ran it.
        attempt: 1 at first; higher after a worker died over it.
        submitted_at, started_at, finished_at: Seconds since the epoch. `started_at` is the current attempt's.
        remaining_seconds: Estimate from earlier builds of the closest kind; None when there were none, or all were faster.
        remaining_range: At least and at most so many seconds.
        left: That in words: "2 to 5 min"; empty where it is not known, and of finished ones.
        error: Of a failed job; also what an optional stage of a done one could not do.
        kind: A build, the run of a build's engine elsewhere, or a head-to-head of several.
        duel: The head-to-head, without its starts; its `request` is then the first build's.
        runs_on: What the engine runs on, where that is not where it is built.
        queue: The one that it stands in: a device type, what runs elsewhere, or a place.
        waits_for: The worker that a queued run needs, in words, while none is there; empty for others.
        waits_on: The device that a queued job waits for, and what is at it, in words; empty when a worker is about to take it.
        not_run: Why a done build's engine was not run there; empty when it was.
        run_elsewhere: Once it is built, its engine is to be run where it can.
    """

    id: str
    key: str
    request: BuildRequest
    model_name: str
    state: JobState
    priority: Priority
    stages: tuple[StageRecord, ...]
    submitted_at: float
    started_at: float | None = None
    finished_at: float | None = None
    progress: Progress | None = None
    worker: str | None = None
    attempt: int = 0
    remaining_seconds: float | None = None
    remaining_range: tuple[float, float] | None = None
    left: str = ""
    error: Failure | None = None
    kind: JobKind = JobKind.BUILD
    runs_on: RunsOn | None = None
    queue: str = ""
    waits_for: str = ""
    waits_on: str = ""
    not_run: str = ""
    run_elsewhere: bool = False
    duel: Duel | None = None

    @property
    def builds(self) -> tuple[str, ...]:
        """Keys of the builds that it makes or needs."""
        return self.duel.keys if self.duel else (self.key,)

    @property
    def device(self) -> str:
        """The device type that it is for."""
        if self.duel:
            return self.duel.device
        return " or ".join(self.runs_on.devices) if self.kind is JobKind.RUN and self.runs_on else self.request.device

    @property
    def measures_again(self) -> bool:
        """A run that only measures, where it was measured before."""
        return self.kind is JobKind.RUN and tuple(record.stage for record in self.stages) == (StageName.MEASURE,)

    @property
    def can_retry(self) -> bool:
        """Whether something of it is worth another try."""
        return self.state in (JobState.FAILED, JobState.CANCELLED) or (
            self.state is JobState.DONE and measuring_failed(self.stages)
        )


class Answer(str, Enum):
    """How a submitted request was met."""

    QUEUED = "queued"  # a new job
    JOINED = "joined"  # the same request is queued or running: its job
    STORED = "stored"  # it was built before: no job is needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of a submitted request.

    Attributes:
        job: Its id; for STORED the job that once built it, None if that was no job.
        note: A sentence worth showing: no worker is running.
    """

    key: str
    answer: Answer
    job: str | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogText:
    """New text of a job's log; give `offset` with the next call."""

    text: str
    offset: int
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCard:
    """What a worker says of itself once, when it starts.

    Attributes:
        device: The one device it works on ("cpu", "cuda:0").
        device_type: The jobs it takes ("cpu", "cuda").
        device_name: As the machine calls it ("AMD EPYC 7763", "NVIDIA H100").
        capability: A GPU's compute capability ("9.0"); None for others, and when it is not told.
        versions: Of Engine Room, Python, and the job engine.
        toolchains: The worker's own interpreter first.
    """

    id: str
    host: str
    pid: int
    device: str
    device_type: str
    device_name: str
    capability: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    toolchains: tuple[Toolchain, ...] = ()

    @property
    def place(self) -> Place:
        return Place(host=self.host, device=self.device, name=self.device_name, capability=self.capability)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker as listed.

    Attributes:
        alive: Its heartbeat is fresh.
        beat_age_seconds: Since the last heartbeat, by the database's clock; of a SQLite file by the kernel's.
        job: Id of the job it runs now.
    """

    card: WorkerCard
    alive: bool
    beat_age_seconds: float
    job: str | None = None

    def offers(self, backend: str) -> Availability | None:
        """The backend's availability for a build on the worker's device; None if it is unknown there.

        It is that of the first toolchain where it works, else of the worker's own.
        """
        chains = [chain for chain in self.card.toolchains if backend in chain.backends]
        found = [_for_device(chain.backends[backend], self.card.device_type) for chain in chains]
        return next((one for one in found if one.available), found[0] if found else None)


def _for_device(offer: Availability, device_type: str) -> Availability:
    if not offer.available or not offer.builds_on or device_type in offer.builds_on:
        return offer
    return Availability(
        available=False,
        version=offer.version,
        reason=f"As it is installed there, it builds on {' and '.join(offer.builds_on)} alone.",
        hint=f"Choose the device {offer.builds_on[0]}.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a queued job carries; the plan comes along, so that an idle worker loads no backend.

    Attributes:
        key: The request's, as the sender counts it; a worker of another release may count otherwise.
        needs: What each stage needs of a toolchain.
        not_run, runs_on: See `Plan`.
        run_elsewhere: Its engine is to be run where it can, once it is built.
        duel: What is held head to head, with what opening each engine needs.
        settle: Keys of the builds of a sweep that are to be held head to head once all of them are there, this one among them.
    """

    key: str
    request: BuildRequest
    model_name: str
    stages: tuple[StageName, ...]
    needs: dict[StageName, Needs]
    submitted_at: float
    force: bool = False
    not_run: str = ""
    runs_on: RunsOn | None = None
    run_elsewhere: bool = False
    duel: DuelTicket | None = None
    settle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DuelTicket:
    """A head-to-head that is asked for.

    Attributes:
        needs: What opening each engine needs of a toolchain, by its build's key.
    """

    duel: Duel
    needs: dict[str, Needs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where a running job is, as its worker last told: the build, the run of one, or a head-to-head without its starts."""

    started_at: float
    build: Build | None = None
    run: Run | None = None
    duel: Duel | None = None
    progress: Progress | None = None

    @property
    def work(self) -> Build | Run | Duel | None:
        return self.build or self.run or self.duel


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a finished job leaves in the queue's history; `error` is set when there is nothing else to tell it."""

    started_at: float
    finished_at: float
    build: Build | None = None
    run: Run | None = None
    duel: Duel | None = None
    error: Failure | None = None

    @property
    def work(self) -> Build | Run | Duel | None:
        return self.build or self.run or self.duel
