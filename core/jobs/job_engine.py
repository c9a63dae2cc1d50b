"""A worker's job engine: what it calls for each job, and what follows from the job's end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from core.base.errors import EngineRoomError, Failure, StoreFailed
from core.base.serialization import from_data, to_data
from core.jobs.carry import Bench, carry_out
from core.jobs.database import APPLICATION, APPLICATION_VERSION, dbos_module, open_client, told
from core.jobs.duels import forget_duel, settle_sweep
from core.jobs.heap import give_memory_back
from core.jobs.job import Ending, JobKind, Ticket, Worker, WorkerCard
from core.jobs.runs import one_at_a_time, queues_for, register, send_run
from core.stages.child import Interrupted
from core.stages.pipeline import forget_build
from core.storage.builds import Build, State
from core.storage.housekeeping import sweep_partial

MAX_ATTEMPTS = 10


def _tells_trouble(record: logging.LogRecord) -> bool:
    """False for what the job engine says when somebody cancels a running job, which is no trouble."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__name__ != "DBOSAwaitedWorkflowCancelledError" and "no longer owned" not in record.getMessage()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEngine:
    """What it works with.

    Attributes:
        url: Of the database.
        jobs: Ids of those that it is at; more than one only while the others wait for the device.
        workers: Tells who there is.
        say: Writes a line to the worker's log.
        start_over: Has the worker go on as a new one, for that reason.
    """

    url: str
    bench: Bench
    card: WorkerCard
    jobs: list[str]
    workers: Callable[[], list[Worker]]
    say: Callable[[str], None]
    start_over: Callable[[str], None]

    def launch(self) -> Any:
        """Starts the job engine, which then calls `build`, `run` or `duel` for each job."""
        bench, card, module = self.bench, self.card, dbos_module()
        dbos = module.DBOS
        engine = dbos(
            config={
                "name": APPLICATION,
                "system_database_url": self.url,
                "application_version": APPLICATION_VERSION,
                "executor_id": bench.worker,
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
            self.jobs.append(job)
            try:
                ending = carry_out(bench, job, ticket, kind)
                if ticket.run_elsewhere and ending.build:
                    self._send_on(ending.build, ticket)
                if ticket.settle:
                    self._settle(ticket)
                return to_data(ending)
            finally:
                self.jobs.remove(job)
                with suppress(StoreFailed):
                    sweep_partial(bench.workspace)  # what a stage that was ended left half done
                give_memory_back()

        def work(data: Any, kind: JobKind) -> Any:
            ticket = from_data(Ticket, data)
            try:
                with told(self.url):
                    trouble = dbos.run_step({"name": "forget"}, forget, ticket) if ticket.force else None
                    return trouble or dbos.run_step({"name": "carry out"}, carry, ticket, kind)
            except (Interrupted, StoreFailed) as reason:  # cut off, or the end could not be recorded
                self.start_over(str(reason))
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
        client = open_client(self.url)
        register(client, card.device_type)
        dbos.listen_queues(queues_for(card, [queue.name for queue in client.list_queues()]))
        client.destroy()
        one_at_a_time(engine)
        dbos.launch()
        return engine

    def _send_on(self, build: Build, ticket: Ticket) -> None:
        """Queues the run of an engine that was to be run, and does not run here."""
        if build.state is State.DONE and build.not_run and build.runs_on:
            workers = self.workers()
            client = open_client(self.url)
            send_run(client, build, build.runs_on, model_name=ticket.model_name, needs=ticket.needs, workers=workers)
            client.destroy()

    def _settle(self, ticket: Ticket) -> None:
        """Queues the head-to-head of a sweep whose last build this was; the build stands without it."""
        workers = self.workers()
        try:
            client = open_client(self.url)
            settle_sweep(client, self.bench.workspace, self.bench.store, ticket, workers)
            client.destroy()
        except EngineRoomError as error:
            self.say(f"The sweep's head-to-head was not queued: {error}")
