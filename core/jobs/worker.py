"""A worker: takes the jobs of its device's type, one at a time, and says that it is alive."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, NoReturn, TypeVar

import core
from core.base.errors import EngineRoomError, Failure, StoreFailed, Unavailable
from core.base.serialization import content_key, from_data, to_data
from core.jobs.carry import Bench, carry_out
from core.jobs.code import code_stamp
from core.jobs.database import (
    APPLICATION,
    APPLICATION_VERSION,
    DATABASE_VARIABLE,
    database_url,
    dbos_module,
    identity,
    is_own,
    open_client,
    prepare,
    shown,
    told,
)
from core.jobs.duels import forget_duel, settle_sweep
from core.jobs.guard import become_subreaper
from core.jobs.heap import give_memory_back, use_one_heap
from core.jobs.heartbeats import Heartbeats
from core.jobs.job import RETIRE_SIGNAL, Ending, JobKind, Ticket, WorkerCard
from core.jobs.processes import boot_seconds
from core.jobs.runs import hear, one_at_a_time, queues_for, register, send_run
from core.jobs.silence import Silence, give_away
from core.jobs.start import OPTIONS_VARIABLE, WorkerOptions, become_worker, hold_for_life, worker_lock_file
from core.jobs.supervisor import Lease
from core.stages.child import Interrupted
from core.stages.pipeline import forget_build
from core.stages.toolchains import OWN, link_core, probe
from core.storage.builds import Build, State
from core.storage.housekeeping import sweep_partial
from core.storage.store import store_named

BEATS_PER_LEASE = 5
DEAD_AFTER_LEASES = 2
MAX_ATTEMPTS = 10
RESTARTED = "ENGINEROOM_WORKER_RESTARTED"
RETRY_SECONDS = 5.0

T = TypeVar("T")


def _say(text: str) -> None:
    with suppress(OSError):  # where its disk is full, the worker goes on without a word
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _tells_trouble(record: logging.LogRecord) -> bool:
    """False for what the job engine says when somebody cancels a running job, which is no trouble."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__name__ != "DBOSAwaitedWorkflowCancelledError" and "no longer owned" not in record.getMessage()


def run_worker(options: WorkerOptions) -> None:
    """Works until it is told to stop by SIGTERM or SIGINT.

    Raises:
        WorkerIsRunning: Another one does.
        StoreFailed: The database cannot be reached or written.
        Unavailable: A toolchain does not work.
    """
    options = replace(options, database=database_url(options.workspace, options.database))
    for name in (OPTIONS_VARIABLE, DATABASE_VARIABLE):
        os.environ.pop(name, None)  # an address may hold a password, and stages see the environment
    _Worker(options).run()


class _Worker:
    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._url = database_url(options.workspace, options.database)
        # Jobs are given away by this name, so a name is never used twice.
        self._home = f"{socket.gethostname()}/{options.device}/{content_key(str(options.workspace.root))[:8]}"
        self._id = f"{self._home}/{secrets.token_hex(4)}"
        self._lease = Lease(options.lease_seconds)
        self._silence = Silence()
        self._jobs: list[str] = []  # more than one only while the others wait for the device
        self._idle_with_work = 0
        self._stop = threading.Event()
        self._retiring = threading.Event()
        self._leaving = threading.Lock()
        self._again = RESTARTED in os.environ
        self._restart = False
        self._why = "it was told to"
        self._identity: tuple[int, int] | None = None

    def _told_to_stop(self, number: int, _: object) -> None:
        self._why = f"it was told to ({signal.Signals(number).name})"
        self._stop.set()

    def run(self) -> None:
        become_subreaper()
        use_one_heap()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        signal.signal(RETIRE_SIGNAL, lambda *_: self._retiring.set())
        if self._again:
            self._hold()
        bench = self._patiently(self._set_up)
        with suppress(StoreFailed):
            sweep_partial(bench.workspace)  # of workers that were killed, or of this one before it started over
        card = self._card(bench)
        self._patiently(partial(self._join, card))
        threading.Thread(target=self._beat_on, name="heartbeat", daemon=True).start()
        dbos = self._launched(bench, card)
        where = shown(self._url)
        _say(f"Worker {self._id} takes {self._options.device.type} jobs from {where}.")
        while not self._stop.is_set():
            if self._retiring.is_set() and not self._jobs:
                self._why = "another version of the program is to take its place"
                break
            try:
                self._give_away_dead_workers_jobs(dbos)
                hear(dbos, queues_for(card, [queue.name for queue in dbos.list_queues()]))
            except EngineRoomError as error:
                _say(str(error))
            except Exception as error:  # the job engine's own; the lease decides what a failing database means
                _say(f"The job database failed: {error}")
            self._stop.wait(self._lease.seconds / 2)
        self._leave()

    def _patiently(self, step: Callable[[], T]) -> T:
        """A worker that starts over waits for its disk and its database; one that is started tells at once what is wrong."""
        while True:
            try:
                return step()
            except (StoreFailed, Unavailable) as error:
                if not self._again:
                    raise
                _say(f"{error} Trying again in {RETRY_SECONDS:g} s.")
                if self._stop.wait(RETRY_SECONDS):
                    _say(f"Worker {self._id} ends: it was told to, before it reached its database.")
                    sys.exit(0)

    def _hold(self) -> None:
        hold_for_life(worker_lock_file(self._options.workspace, self._options.device), self._options.device)

    def _join(self, card: WorkerCard) -> None:
        prepare(self._url, own=is_own(self._url, self._options.workspace))
        if not self._again:
            self._hold()
        self._identity = identity(self._url)
        self._beats = Heartbeats(self._url)
        self._beats.join(card)
        self._lease.renew(boot_seconds())

    def _set_up(self) -> Bench:
        options = self._options
        try:
            core_folder = link_core(options.workspace.root / "workers" / "core")
        except OSError as error:
            hint = "Free some disk space or check the folder's rights."
            raise StoreFailed(f"The workspace {options.workspace.root} is not writable: {error.strerror}.", hint=hint) from error
        named = dict(options.toolchains)
        interpreters = {OWN: named.pop(OWN, sys.executable), **named}
        return Bench(
            worker=self._id,
            workspace=options.workspace,
            store=store_named(options.store),
            device=options.device,
            place=options.device.place,
            toolchains=[probe(name, python, core_folder) for name, python in interpreters.items()],
            core_folder=core_folder,
            limits=options.limits,
            lease=self._lease,
        )

    def _card(self, bench: Bench) -> WorkerCard:
        return WorkerCard(
            id=self._id,
            host=bench.place.host,
            pid=os.getpid(),
            device=bench.place.device,
            device_type=bench.device.type,
            device_name=bench.place.name,
            capability=bench.place.capability,
            versions={
                "engine-room": core.__version__,
                "code": code_stamp(),
                "python": platform.python_version(),
                "dbos": version("dbos"),
            },
            toolchains=tuple(bench.toolchains),
        )

    def _send_on(self, build: Build, ticket: Ticket) -> None:
        """Queues the run of an engine that was to be run, and does not run here."""
        if build.state is State.DONE and build.not_run and build.runs_on:
            workers = self._beats.workers(DEAD_AFTER_LEASES * self._lease.seconds)
            client = open_client(self._url)
            send_run(client, build, build.runs_on, model_name=ticket.model_name, needs=ticket.needs, workers=workers)
            client.destroy()

    def _settle(self, bench: Bench, ticket: Ticket) -> None:
        """Queues the head-to-head of a sweep whose last build this was; the build stands without it."""
        workers = self._beats.workers(DEAD_AFTER_LEASES * self._lease.seconds)
        try:
            client = open_client(self._url)
            settle_sweep(client, bench.workspace, bench.store, ticket, workers)
            client.destroy()
        except EngineRoomError as error:
            _say(f"The sweep's head-to-head was not queued: {error}")

    def _launched(self, bench: Bench, card: WorkerCard) -> Any:
        """Starts the job engine; a worker that starts over does so once more when that fails."""
        try:
            with told(self._url):
                return self._launch(bench, card)
        except StoreFailed as error:
            if not self._again:
                self._forget()
                raise
            if not self._stop.wait(RETRY_SECONDS):
                self._start_over(str(error))
            self._leave()

    def _launch(self, bench: Bench, card: WorkerCard) -> Any:
        """Starts the job engine, which then calls `build`, `run` or `duel` for each job."""
        module = dbos_module()
        dbos = module.DBOS
        engine = dbos(
            config={
                "name": APPLICATION,
                "system_database_url": self._url,
                "application_version": APPLICATION_VERSION,
                "executor_id": self._id,
                "serializer": module.DBOSPortableJSONSerializer(),
                "sys_db_pool_size": 2,
                "max_executor_threads": 4,
                "run_migrations": False,
                "use_listen_notify": False,
                "notification_listener_polling_interval_sec": 60.0,  # a worker waits for no notification
                "log_level": "WARNING",
            }
        )

        def forget(ticket: Ticket) -> dict[str, Any] | None:
            try:
                if ticket.duel:
                    forget_duel(bench.workspace, ticket.key)
                    return None
                if bench.store:
                    bench.store.forget_build(bench.workspace, ticket.request.key)
                forget_build(bench.workspace, ticket.request.key)
            except EngineRoomError as error:
                now = time.time()
                ending: dict[str, Any] = to_data(Ending(started_at=now, finished_at=now, error=Failure.of(error)))
                return ending
            return None

        def carry(ticket: Ticket, kind: JobKind) -> Any:
            job = str(dbos.workflow_id)
            self._jobs.append(job)
            try:
                ending = carry_out(bench, job, ticket, kind)
                if ticket.run_elsewhere and ending.build:
                    self._send_on(ending.build, ticket)
                if ticket.settle:
                    self._settle(bench, ticket)
                return to_data(ending)
            finally:
                self._jobs.remove(job)
                with suppress(StoreFailed):
                    sweep_partial(bench.workspace)  # what a stage that was ended left half done
                give_memory_back()

        def work(data: Any, kind: JobKind) -> Any:
            ticket = from_data(Ticket, data)
            try:
                with told(self._url):
                    trouble = dbos.run_step({"name": "forget"}, forget, ticket) if ticket.force else None
                    return trouble or dbos.run_step({"name": "carry out"}, carry, ticket, kind)
            except (Interrupted, StoreFailed) as reason:  # cut off, or the end could not be recorded
                self._start_over(str(reason))
                threading.Event().wait()  # until the process is replaced: no outcome may be recorded

        @dbos.workflow(name=JobKind.BUILD.value, max_recovery_attempts=MAX_ATTEMPTS)  # type: ignore[untyped-decorator]
        def build(data: Any) -> Any:
            return work(data, JobKind.BUILD)

        @dbos.workflow(name=JobKind.RUN.value, max_recovery_attempts=MAX_ATTEMPTS)  # type: ignore[untyped-decorator]
        def run(data: Any) -> Any:
            return work(data, JobKind.RUN)

        @dbos.workflow(name=JobKind.DUEL.value, max_recovery_attempts=MAX_ATTEMPTS)  # type: ignore[untyped-decorator]
        def duel(data: Any) -> Any:
            return work(data, JobKind.DUEL)

        logging.getLogger("dbos").addFilter(_tells_trouble)
        client = open_client(self._url)
        register(client, card.device_type)
        dbos.listen_queues(queues_for(card, [queue.name for queue in client.list_queues()]))
        client.destroy()
        one_at_a_time(engine)
        dbos.launch()
        return engine

    def _beat_on(self) -> None:
        while not self._stop.wait(self._lease.seconds / BEATS_PER_LEASE):
            asked_at = boot_seconds()
            try:
                alive = self._beats.beat(self._id, next(iter(self._jobs), None))
            except Exception as error:  # this thread must not end: nobody else looks at the lease
                _say(str(error) if isinstance(error, EngineRoomError) else f"The heartbeat failed: {error!r}")
                alive = True
            else:
                self._lease.renew(asked_at)
            if identity(self._url) != self._identity:
                self._start_over("The job database was deleted or replaced.")
            elif not alive:
                self._start_over("The others gave this worker up for dead.")
            elif not self._lease.valid:
                self._start_over("The database could not be reached in time.")
        # The main thread leaves, unless the job engine holds it up: that tries for ever to reach a database that is gone.
        time.sleep(self._lease.seconds)
        self._leave()

    def _give_away_dead_workers_jobs(self, dbos: Any) -> None:
        dead_after = DEAD_AFTER_LEASES * self._lease.seconds
        holders = give_away(dbos, self._beats, self._silence, worker=self._id, home=self._home, dead_after=dead_after)
        # A job we have but do not work on is one whose end could not be recorded: the disk was full.
        self._idle_with_work = self._idle_with_work + 1 if self._id in holders and not self._jobs else 0
        if self._idle_with_work > 2:
            self._start_over("A finished job could not be recorded.")

    def _start_over(self, reason: str) -> None:
        """Goes on as a new worker with a new name: this one's jobs may be somebody else's by now."""
        _say(f"{reason} Starting over.")
        self._restart = True
        self._stop.set()

    def _forget(self) -> None:
        """The guard ends the build when this process is gone; with the row gone, others take the job at once."""
        try:
            self._beats.remove(self._id)
        except StoreFailed as error:
            _say(str(error))

    def _leave(self) -> NoReturn:
        self._leaving.acquire()  # of two threads that come here, one; the process ends with it
        if self._restart:
            os.environ[RESTARTED] = "1"
            become_worker(self._options)
        self._forget()
        _say(f"Worker {self._id} ends: {self._why}.")
        os._exit(0)
