"""Carries one job out in the worker: holds the device, runs the build's stages, and tells everyone how it goes."""

from __future__ import annotations

import codecs
import contextvars
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.base.children.call import Fetch
from core.base.errors import Cancelled, EngineRoomError, Failure
from core.base.gpus import CUDA
from core.base.progress import Progress, Report
from core.base.serialization import to_data
from core.jobs.again import check_place
from core.jobs.database import dbos_module
from core.jobs.device import Device, exclusive
from core.jobs.job import LOG_STREAM, STATUS_EVENT, DuelTicket, Ending, JobKind, Snapshot, Ticket
from core.jobs.processes import boot_seconds
from core.jobs.supervisor import Lease, StageLimits, Supervisor
from core.stages.child import LOG_FILE, Interrupted
from core.stages.elsewhere import AGAIN, REPEATS, middle_of, run_engine
from core.stages.head_to_head import run_duel
from core.stages.pipeline import Plan, run_build
from core.stages.toolchains import Toolchain
from core.storage.builds import Build, Place, Run, StageName, State, artifact_of, engine_artifact
from core.storage.duels import Duel, duel_folder, without_starts
from core.storage.store import Kind, Store
from core.storage.workspace import Workspace

TICK_SECONDS = 0.2
TELL_SECONDS = 0.6  # between two snapshots or pieces of log in the database
LOG_CHUNK_BYTES = 64 * 1024
LOG_LIMIT_BYTES = 1024 * 1024  # of one attempt in the database; the build's own log has everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a worker carries its jobs out with."""

    worker: str
    workspace: Workspace
    store: Store | None
    device: Device
    place: Place
    toolchains: Sequence[Toolchain]
    core_folder: Path
    limits: StageLimits
    lease: Lease


def carry_out(bench: Bench, job: str, ticket: Ticket, kind: JobKind = JobKind.BUILD) -> Ending:
    """Carries a job out to its end.

    Raises:
        Interrupted: This worker was cut off; somebody else may be at the job.
    """
    began = boot_seconds()
    voice = Voice(bench, job, ticket)
    voice.start()
    build, run, duel, error = None, None, None, None
    try:
        if kind is JobKind.RUN:
            run = _run(bench, ticket, voice)
        elif ticket.duel:
            duel = _duel(bench, ticket, ticket.duel, voice)
        else:
            build = _build(bench, ticket, voice)
    except EngineRoomError as failure:
        error = Failure.of(failure)
    finally:
        voice.stop()
    now = time.time()  # what it took stays right when the clock was set meanwhile
    return Ending(started_at=now - (boot_seconds() - began), finished_at=now, build=build, run=run, duel=duel, error=error)


def _fetch(bench: Bench, ticket: Ticket, voice: Voice) -> None:
    """Brings what a job starts from, unless its sender's request is another here."""
    if ticket.request.key != ticket.key:
        hint = "Install the same release of Engine Room on every host."
        raise EngineRoomError("The worker is of another release than the one that sent the job.", hint=hint)
    if bench.store:
        voice.say(progress=Progress(message="Fetching the model"))
        bench.store.pull_inputs(bench.workspace, ticket.request)


def _run(bench: Bench, ticket: Ticket, voice: Voice) -> Run:
    """Runs the engine of a build that is there, perhaps on another host."""
    workspace, key, store = bench.workspace, ticket.key, bench.store
    _fetch(bench, ticket, voice)

    def refresh() -> None:
        if store:
            store.pull(workspace, Kind.BUILD, key)

    refresh()
    if store:
        voice.say(progress=Progress(message="Fetching the engine"))
        for stage in (StageName.BUILD, StageName.REFERENCE):
            if artifact := artifact_of(workspace.build_folder(key), stage):
                store.pull(workspace, Kind.ARTIFACT, artifact)
    voice.read_log()
    again = ticket.stages == AGAIN
    if again:
        check_place(workspace, key, bench.place)
    with _stages_on(bench, ticket, voice) as supervisor:
        run = run_engine(
            workspace,
            key,
            bench.place,
            on_change=lambda run, progress: voice.say(run=run, progress=progress),
            runner=middle_of(supervisor.run, REPEATS) if again else supervisor.run,
            refresh=refresh,
            again=again,
        )
    if store and run.state is not State.CANCELLED:
        store.push_build(workspace, key)
    return run


def _duel(bench: Bench, ticket: Ticket, asked: DuelTicket, voice: Voice) -> Duel:
    """Holds the engines of several builds head to head."""
    workspace, store = bench.workspace, bench.store
    if store:
        store.pull_inputs(workspace, ticket.request)
        for key in asked.duel.keys:
            voice.say(progress=Progress(message=f"Fetching engine {key[:12]}"))
            store.pull(workspace, Kind.BUILD, key)
            if engine := engine_artifact(workspace.build_folder(key)):
                store.pull(workspace, Kind.ARTIFACT, engine)
    folder = duel_folder(workspace, asked.duel.key)
    folder.mkdir(parents=True, exist_ok=True)
    voice.read_log()
    with _stages_on(bench, ticket, voice, folder) as supervisor:

        def run(key: str, scratch: Path, report: Report, turn: Fetch) -> None:
            holding = workspace.build_folder(key)
            supervisor.run(StageName.DUEL, scratch, report, needs=asked.needs.get(key), turn=turn, holding=holding)

        return run_duel(
            workspace,
            asked.duel,
            bench.place,
            on_change=lambda duel, progress: voice.say(duel=without_starts(duel), progress=progress),
            runner=run,
            cuda=bench.device.type == CUDA,
        )


@contextmanager
def _stages_on(bench: Bench, ticket: Ticket, voice: Voice, folder: Path | None = None) -> Iterator[Supervisor]:
    """What runs a job's stages, while the device is held for it.

    Args:
        folder: Of what the job is at, where that is no build.
    """
    store = bench.store
    with exclusive(bench.device, voice.wait_for_device) as lock:
        voice.supervisor = Supervisor(
            needs=ticket.needs,
            toolchains=bench.toolchains,
            core_folder=bench.core_folder,
            limits=bench.limits,
            lease=bench.lease,
            device_lock=lock,
            environment=bench.device.environment,
            store=store,
            device=bench.device.type,
            build=folder or bench.workspace.build_folder(ticket.key),
        )
        yield voice.supervisor


def _build(bench: Bench, ticket: Ticket, voice: Voice) -> Build:
    workspace, request, store = bench.workspace, ticket.request, bench.store
    _fetch(bench, ticket, voice)
    if store and not workspace.build_folder(request.key).exists():
        store.pull_build(workspace, request.key)
    voice.read_log()
    pushed = 0

    def on_change(build: Build, progress: Progress | None) -> None:
        voice.say(build=build, progress=progress)
        share(build)

    def share(build: Build) -> None:
        nonlocal pushed
        finished = sum(record.state not in (State.WAITING, State.RUNNING) for record in build.stages)
        if store and finished > pushed:
            pushed = finished
            store.push_build(workspace, build.key)

    with _stages_on(bench, ticket, voice) as supervisor:
        build = run_build(
            workspace,
            request,
            planned=Plan(stages=ticket.stages, not_run=ticket.not_run, runs_on=ticket.runs_on),
            on_change=on_change,
            runner=supervisor.run,
            place=bench.place,
        )
    share(build)  # one that an earlier attempt had finished, and was cut off before it shared it
    return build


class Voice(threading.Thread):
    """Tells the database where the job is and what it logs, and hears from there whether it was cancelled."""

    def __init__(self, bench: Bench, job: str, ticket: Ticket) -> None:
        super().__init__(name=f"voice-{job}", daemon=True)
        self.supervisor: Supervisor | None = None
        self._bench = bench
        self._job = job
        module = dbos_module()
        self._dbos: Any = module.DBOS
        self._not_ours: Any = module.error.DBOSWorkflowConflictIDError
        self._step = contextvars.copy_context()  # what this thread writes belongs to the step that made it
        self._started_at = time.time()
        self._snapshot: Snapshot | None = None
        self.say()
        folder = duel_folder(bench.workspace, ticket.key) if ticket.duel else bench.workspace.build_folder(ticket.request.key)
        self._log_file = folder / LOG_FILE
        self._log: LogReader | None = None
        self._over = threading.Event()
        self._cancelled = threading.Event()
        self._lost = threading.Event()

    def say(
        self,
        *,
        build: Build | None = None,
        run: Run | None = None,
        duel: Duel | None = None,
        progress: Progress | None = None,
    ) -> None:
        """What everyone sees of the job next."""
        self._snapshot = Snapshot(started_at=self._started_at, build=build, run=run, duel=duel, progress=progress)

    def read_log(self) -> None:
        """From now on, what is added to the build's log is the job's own."""
        headline = f"--- {time.strftime('%Y-%m-%d %H:%M:%S %Z')} on {self._bench.worker}\n"
        self._log = LogReader(self._log_file, headline)

    def wait_for_device(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("The job was cancelled.")
        if self._lost.is_set() or not self._bench.lease.valid:
            raise Interrupted("This worker no longer has the job.")
        self.say(progress=Progress(message=f"Waiting for {self._bench.device}: it is in use"))

    def run(self) -> None:
        ticks = 0
        while not self._over.wait(TICK_SECONDS):
            with suppress(Exception):  # the lease decides what a failing database means
                self._listen()
            if self.supervisor:
                self.supervisor.tick()
            if ticks % round(TELL_SECONDS / TICK_SECONDS) == 0:
                self._tell()
            ticks += 1
        self._tell()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _listen(self) -> None:
        rows = self._dbos.list_workflows(workflow_ids=[self._job], load_input=False, load_output=False)
        status, holder = (rows[0].status, rows[0].executor_id) if rows else ("CANCELLED", None)
        if status == "PENDING" and holder == self._bench.worker:
            return
        lost = status in ("PENDING", "ENQUEUED")  # given to another worker, or about to be
        (self._lost if lost else self._cancelled).set()
        if supervisor := self.supervisor:
            (supervisor.abandon if lost else supervisor.cancel)()

    def _tell(self) -> None:
        snapshot, self._snapshot = self._snapshot, None
        with suppress(Exception, self._not_ours):  # cancelled, or another worker's; or the lease decides, as above
            if snapshot:
                self._step.run(self._dbos.set_event, STATUS_EVENT, to_data(snapshot))
            for text in self._log.new_text() if self._log else ():
                self._step.run(self._dbos.write_stream, LOG_STREAM, text)


class LogReader:
    """The part of a growing log file that this attempt writes."""

    def __init__(self, path: Path, headline: str) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._end = self._position + LOG_LIMIT_BYTES
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._headline = headline

    def new_text(self) -> list[str]:
        """What was written since the last call, in pieces."""
        texts = [self._headline] if self._headline else []
        self._headline = ""
        while self._position < self._end and (chunk := self._read()):
            self._position += len(chunk)
            text = self._decoder.decode(chunk).replace("\0", "\N{REPLACEMENT CHARACTER}")  # Postgres keeps no NUL
            texts.append(text)
            if self._position >= self._end:
                texts.append("\n... The rest is in the build's own log.\n")
        return texts

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                return file.read(min(LOG_CHUNK_BYTES, self._end - self._position))
        except FileNotFoundError:
            return b""
