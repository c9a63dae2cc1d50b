"""The queue, as the dashboard and the command line use it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from core.base.errors import InvalidRequest
from core.base.serialization import read_json
from core.benchmark.duel import DuelProtocol
from core.jobs.connection import Connection
from core.jobs.database import database_url, is_local, is_own, told
from core.jobs.duels import bring_duels, settle_sweep, settleable
from core.jobs.engine_jobs import EngineJobs
from core.jobs.job import (
    DUEL_WORKFLOW,
    RUN_WORKFLOW,
    WORKFLOW,
    Answer,
    Job,
    JobKind,
    JobState,
    LogText,
    Priority,
    Submitted,
    Ticket,
    Worker,
)
from core.jobs.listing import HISTORY, Listing
from core.jobs.offers import check_offered, lack_in
from core.jobs.rows import ticket_of
from core.jobs.runs import enqueue, lacking_runs
from core.models.model import Model
from core.request.build_request import BuildRequest, aimed_at, checked
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import plan
from core.stages.toolchains import needs_of
from core.storage import housekeeping
from core.storage.builds import BUILD_FILE, Build, all_builds
from core.storage.housekeeping import Collected
from core.storage.store import Kind, Store, store_named
from core.storage.workspace import Workspace


class Queue:
    """Jobs of one database. Cheap to keep open, safe to share between threads.

    Args:
        database: Address; by default ENGINEROOM_DATABASE's, else SQLite in the workspace.
        store: Address of the shared store; by default ENGINEROOM_STORE's, else none: the workspace is shared.

    Every method may raise StoreFailed when the database is full, read-only or not reachable.
    """

    def __init__(self, workspace: Workspace, database: str | None = None, store: str | None = None) -> None:
        self.workspace = workspace
        self.url = database_url(workspace, database)
        self.store: Store | None = store_named(store)
        self._connection = Connection(self.url, own=is_own(self.url, workspace))
        self._listing = Listing(workspace, self.url, self._connection)
        self._engines = EngineJobs(workspace, self.url, self._connection, self._listing, self.store)

    def close(self) -> None:
        self._connection.close()

    def submit(
        self,
        request: BuildRequest,
        *,
        priority: Priority = Priority.NORMAL,
        force: bool = False,
        run_elsewhere: bool = False,
    ) -> Submitted:
        """Queues a build, joins the job that is at it already, or finds it built.

        Args:
            force: Build again although it was built before.
            run_elsewhere: An engine that does not run where it is built is run where it can, by a job of its own.

        Raises:
            InvalidRequest: The request is wrong.
            Unavailable: No worker of that device type can carry it out, nor could one on this machine.
        """
        return self.submit_all([request], priority=priority, force=force, run_elsewhere=run_elsewhere)[0]

    def submit_all(
        self,
        requests: Sequence[BuildRequest],
        *,
        priority: Priority = Priority.NORMAL,
        force: bool = False,
        run_elsewhere: bool = False,
        settle: bool = False,
    ) -> list[Submitted]:
        """Queues a sweep. All requests are checked before any is queued; raises what `submit` does.

        Args:
            settle: Their engines are to be held head to head once all are there.
        """
        models = {digest: self.workspace.model(digest) for digest in {request.model for request in requests}}
        asked = [(checked(request, models[request.model], here=False), models[request.model]) for request in requests]
        workers = [worker for worker in self.workers() if worker.alive]
        keys = tuple(request.key for request, _ in asked) if settle and len(asked) > 1 else ()
        found = [self._submit(request, model, workers, priority, force, run_elsewhere, keys) for request, model in asked]
        if keys and all(one.answer is Answer.STORED for one in found):
            for outcomes in settleable(self.workspace, self.store, keys):
                self.duel([outcome.build.key for outcome in outcomes], priority=priority)
        return found

    def run(self, key: str, *, priority: Priority = Priority.NORMAL) -> Submitted:
        """Queues the run of a build's engine on a device where it runs, or joins the job that is at it already.

        Raises:
            NotFound: There is no such build.
            InvalidRequest: It has no engine, or one that runs where it was built.
        """
        return self._engines.run(self.outcome(key), priority)

    def duel(
        self,
        keys: Sequence[str],
        protocol: DuelProtocol | None = None,
        *,
        priority: Priority = Priority.NORMAL,
        force: bool = False,
    ) -> Submitted:
        """Queues a head-to-head of builds' engines, joins the job that is at it already, or finds it held.

        Args:
            keys: Of the builds, or their beginnings.
            force: Hold it again although it was held before.

        Raises:
            NotFound: There is no such build.
            InvalidRequest: They cannot be held head to head.
        """
        return self._engines.duel([self.outcome(key) for key in keys], protocol, priority, force=force)

    def measure(self, key: str, *, priority: Priority = Priority.NORMAL) -> Submitted:
        """Queues another measurement of a build's engine where its figures are from, or joins the job that is at it already.

        Raises:
            NotFound: There is no such build.
            InvalidRequest: It has no engine, or one that nothing has run yet.
        """
        return self._engines.measure(self.outcome(key), priority)

    def _submit(
        self,
        request: BuildRequest,
        model: Model,
        alive: Sequence[Worker],
        priority: Priority,
        force: bool,
        run_elsewhere: bool,
        settle: tuple[str, ...],
    ) -> Submitted:
        workers = [worker for worker in alive if worker.card.device_type == request.device]
        offers = [offer for worker in workers if (offer := worker.offers(request.backend)) and offer.available]
        needs, planned = needs_of(request, model), plan(request, model, offers[0] if offers else None)
        check_offered(request, model, workers, here=is_local(self.url))
        lacks = [lack for worker in workers if (lack := lack_in(worker, [needs[stage] for stage in planned.stages]))]
        if lacks and len(lacks) == len(workers):
            raise lacks[0]
        request = aimed_at(request, offers[0].version if offers else None)
        if not force and self._is_stored(request.key):
            if run_elsewhere and self.outcome(request.key).build.not_run:
                run = self.run(request.key, priority=priority)
                return replace(run, note=f"It was built before; its run is queued. {run.note}".strip())
            last = self._listing.find(request.key)
            return Submitted(key=request.key, answer=Answer.STORED, job=last)
        if self.store:
            self.store.push_inputs(self.workspace, request)
        ticket = Ticket(
            key=request.key,
            request=request,
            model_name=model.name,
            stages=planned.stages,
            not_run=planned.not_run,
            runs_on=planned.runs_on,
            needs=needs,
            submitted_at=time.time(),
            force=force,
            run_elsewhere=run_elsewhere and planned.runs_on is not None,
            settle=settle,
        )
        with told(self.url):
            job, new = enqueue(self._connection.client, WORKFLOW, request.device, ticket, priority)
        note = " ".join(f"{lack.message} {lack.hint}" for lack in lacks)
        if not workers:
            note = f"No worker for {request.device!r} is running: start one with `engineroom worker`."
        if not new and ticket.run_elsewhere and not self.job(job).run_elsewhere:
            note = f"{note} That job was queued without a run elsewhere; ask for one when it is built.".strip()
        return Submitted(key=request.key, answer=Answer.QUEUED if new else Answer.JOINED, job=job, note=note)

    def jobs(self, *, states: Sequence[JobState] = (), limit: int = 100) -> list[Job]:
        """The newest jobs, newest first, of these states or of all."""
        return self._listing.jobs(states=states, limit=limit)

    def revision(self, *, limit: int = 100) -> object:
        """Compares unequal once one of the newest jobs came, began, changed hands or ended; cheap, for those who ask often."""
        return self._listing.revision(limit=limit)

    def job(self, job: str) -> Job:
        """The job whose id begins so.

        Raises:
            NotFound: None does, or several.
        """
        return self._listing.job(job)

    def log(self, job: str, offset: int = 0) -> LogText:
        """What the job has logged since `offset`, at once; the whole log is in the build's folder when it is done."""
        return self._listing.log(job, offset)

    def cancel(self, job: str) -> Job:
        """Takes a queued job out, or ends a running one: its processes are gone within a second. Finished ones stay."""
        row = self._listing.row(job)
        with told(self.url):
            self._connection.client.cancel_workflow(row.workflow_id)
            if (ticket := ticket_of(row)).settle:  # no worker is at its end
                settle_sweep(self._connection.client, self.workspace, self.store, ticket, self.workers())
        return self.job(row.workflow_id)

    def retry(self, job: str) -> Submitted:
        """Queues a failed, cancelled or unmeasured job's request again, as a new job; stages that were done stay done.

        Raises:
            InvalidRequest: The job is not finished, or done.
        """
        found = self.job(job)
        if not found.can_retry:
            raise InvalidRequest(f"Job {found.id} is {found.state.value}.", hint="Only failed and cancelled jobs can be retried.")
        if found.kind is JobKind.RUN:
            return self.measure(found.key) if found.measures_again else self.run(found.key)
        if found.duel:
            return self.duel(found.duel.keys, found.duel.protocol)
        return self.submit(found.request, run_elsewhere=found.run_elsewhere)

    def workers(self) -> list[Worker]:
        """Every worker that gave a sign of life, dead ones until their jobs are given away."""
        return self._listing.workers()

    def outcome(self, key: str) -> Outcome:
        """What a build found, brought from the shared store first if it was made or run elsewhere.

        Raises:
            NotFound: There is no such build.
        """
        if self.store and not _stored_build_done(self.workspace, key):
            self.store.pull_build(self.workspace, self._listing.whole(key), artifacts=False)
        self.bring_runs()
        return load_outcome(self.workspace, key)

    def bring_runs(self) -> None:
        """Brings what the newest runs and head-to-heads elsewhere have found; does nothing without a store."""
        if self.store:
            for key in lacking_runs(self.workspace, self._listing.rows(name=RUN_WORKFLOW, status="SUCCESS", limit=HISTORY)):
                self.store.pull_build(self.workspace, key, artifacts=False)
            bring_duels(self.workspace, self._listing.rows(name=DUEL_WORKFLOW, status="SUCCESS", limit=HISTORY))

    def bring_artifacts(self, key: str) -> None:
        """Brings a build's engine and intermediate models from the shared store, for a download."""
        if self.store:
            self.store.pull_build(self.workspace, key)

    def delete_build(self, key: str) -> Collected:
        """Deletes a build with what only it uses, in the shared store too.

        Raises:
            InvalidRequest: A job is at it.
        """
        self._refuse_unfinished(key=key)
        done = housekeeping.delete_build(self.workspace, key)
        if self.store:
            self.store.delete(Kind.BUILD, key)
        return done

    def delete_model(self, digest: str) -> Collected:
        """Deletes a model with its builds and what only they use, in the shared store too.

        Raises:
            InvalidRequest: A job is at one of its builds.
            NotFound: No such model is stored.
        """
        digest = self.workspace.model(digest).digest
        self._refuse_unfinished(model=digest)
        keys = [build.key for build in all_builds(self.workspace) if build.request.model == digest]
        done = housekeeping.delete_model(self.workspace, digest)
        if self.store:
            for key in keys:
                self.store.delete(Kind.BUILD, key)
            self.store.delete(Kind.MODEL, digest)
        return done

    def _refuse_unfinished(self, *, key: str | None = None, model: str | None = None) -> None:
        for job in self.jobs(states=(JobState.QUEUED, JobState.RUNNING), limit=10_000):
            if key in job.builds or job.request.model == model:
                raise InvalidRequest(f"Job {job.id} needs it.", hint=f"Cancel it first: `engineroom cancel {job.id}`.")

    def _is_stored(self, key: str) -> bool:
        if _stored_build_done(self.workspace, key):
            return True
        return bool(
            self.store and self.store.pull_build(self.workspace, key, artifacts=False) and _stored_build_done(self.workspace, key)
        )


def _stored_build_done(workspace: Workspace, key: str) -> bool:
    path = workspace.build_folder(key) / BUILD_FILE
    return path.exists() and read_json(Build, path).settled
