"""A worker: takes the jobs of its device's type, one at a time, and says that it is alive."""

from __future__ import annotations

import os
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
from typing import Any, NoReturn, TypeVar

from core.base.errors import EngineRoomError, StoreFailed, Unavailable
from core.base.serialization import content_key
from core.jobs.carry import Bench
from core.jobs.database import (
    DATABASE_VARIABLE,
    database_url,
    identity,
    is_own,
    prepare,
    shown,
    told,
)
from core.jobs.guard import become_subreaper
from core.jobs.heap import use_one_heap
from core.jobs.heartbeats import Heartbeats
from core.jobs.job import RETIRE_SIGNAL, WorkerCard
from core.jobs.job_engine import JobEngine
from core.jobs.processes import boot_seconds
from core.jobs.runs import hear, queues_for
from core.jobs.silence import Silence, give_away
from core.jobs.start import OPTIONS_VARIABLE, WorkerOptions, become_worker, hold_for_life, worker_lock_file
from core.jobs.supervisor import Lease
from core.jobs.worker_set_up import card_of, set_up
from core.storage.housekeeping import sweep_partial

BEATS_PER_LEASE = 5
DEAD_AFTER_LEASES = 2
RESTARTED = "ENGINEROOM_WORKER_RESTARTED"
RETRY_SECONDS = 5.0

T = TypeVar("T")


def _say(text: str) -> None:
    with suppress(OSError):  # where its disk is full, the worker goes on without a word
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


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
        bench = self._patiently(lambda: set_up(self._options, self._id, self._lease))
        with suppress(StoreFailed):
            sweep_partial(bench.workspace)  # of workers that were killed, or of this one before it started over
        card = card_of(bench)
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

    def _launched(self, bench: Bench, card: WorkerCard) -> Any:
        """Starts the job engine; a worker that starts over does so once more when that fails."""
        engine = JobEngine(
            url=self._url,
            bench=bench,
            card=card,
            jobs=self._jobs,
            workers=lambda: self._beats.workers(DEAD_AFTER_LEASES * self._lease.seconds),
            say=_say,
            start_over=self._start_over,
        )
        try:
            with told(self._url):
                return engine.launch()
        except StoreFailed as error:
            if not self._again:
                self._forget()
                raise
            if not self._stop.wait(RETRY_SECONDS):
                self._start_over(str(error))
            self._leave()

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
