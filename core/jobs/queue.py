"""The queue, as the dashboard and the command line use it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from core.base.errors import InvalidRequest, NotFound, Unavailable
from core.base.serialization import from_data, read_json
from core.benchmark.duel import DuelProtocol
from core.jobs.again import lacks_place, send_again
from core.jobs.connection import Connection
from core.jobs.database import database_url, dbos_module, is_local, is_own, told
from core.jobs.duels import bring_duels, send_duel, settleable
from core.jobs.history import StoredHistory
from core.jobs.job import (
    DUEL_WORKFLOW,
    LOG_STREAM,
    RUN_WORKFLOW,
    STATUS_EVENT,
    WORKFLOW,
    WORKFLOWS,
    Answer,
    Job,
    JobKind,
    JobState,
    LogText,
    Priority,
    Snapshot,
    Submitted,
    Ticket,
    Worker,
)
from core.jobs.rows import UNFINISHED, ending_of, job_of, may_have_told, statuses_of
from core.jobs.runs import able, enqueue, lacking_runs, send_run, what_runs, with_waits
from core.jobs.waiting import with_devices
from core.models.model import Model
from core.request.build_request import BuildRequest, aimed_at, checked
from core.request.paths import path_named
from core.stages.contestants import duel_of
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import plan
from core.stages.stage import Needs
from core.stages.toolchains import lack_of, needs_of
from core.storage import housekeeping
from core.storage.builds import BUILD_FILE, Build, State, all_builds
from core.storage.duels import stored_duel
from core.storage.housekeeping import Collected
from core.storage.store import Kind, Store, store_named
from core.storage.workspace import Workspace

HISTORY = 200  # finished jobs that estimates look back on
MOST_UNFINISHED = 1000  # jobs that are counted before another

# A worker silent for so long is dead. Its builds have been ended by then: their lease is half of this.
DEAD_AFTER_SECONDS = 20.0


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
        self._stored = StoredHistory(workspace, HISTORY)

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
        outcome, workers = self.outcome(key), self.workers()
        build, runs_on = outcome.build, what_runs(outcome)
        if self.store and outcome.built and self.workspace.artifact(outcome.built.artifact):
            self.store.push_inputs(self.workspace, build.request)
            self.store.push_build(self.workspace, build.key)
        with told(self.url):
            job, new = send_run(
                self._connection.client,
                build,
                runs_on,
                model_name=outcome.model.name,
                needs=needs_of(build.request, outcome.model),
                workers=workers,
                priority=priority,
            )
        note = "" if able(workers, runs_on) else f"The run waits for {runs_on.worker}."
        return Submitted(key=build.key, answer=Answer.QUEUED if new else Answer.JOINED, job=job, note=note)

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
        outcomes = [self.outcome(key) for key in keys]
        duel = duel_of(outcomes, protocol)
        before = stored_duel(self.workspace, duel.key)
        if before and before.state is State.DONE and not force:
            return Submitted(key=duel.key, answer=Answer.STORED, job=self._find(duel.key))
        if self.store:
            for outcome in outcomes:
                self.store.push_inputs(self.workspace, outcome.build.request)
                if outcome.built and self.workspace.artifact(outcome.built.artifact):
                    self.store.push_build(self.workspace, outcome.build.key)
        workers = self.workers()
        with told(self.url):
            job, new = send_duel(self._connection.client, duel, outcomes, workers=workers, priority=priority, force=force)
        listening = any(worker.alive and worker.card.device_type == duel.device for worker in workers)
        note = "" if listening else f"No worker for {duel.device!r} is running: start one with `engineroom worker`."
        return Submitted(key=duel.key, answer=Answer.QUEUED if new else Answer.JOINED, job=job, note=note)

    def measure(self, key: str, *, priority: Priority = Priority.NORMAL) -> Submitted:
        """Queues another measurement of a build's engine where its figures are from, or joins the job that is at it already.

        Raises:
            NotFound: There is no such build.
            InvalidRequest: It has no engine, or one that nothing has run yet.
        """
        outcome, workers = self.outcome(key), self.workers()
        build = outcome.build
        if self.store and outcome.built and self.workspace.artifact(outcome.built.artifact):
            self.store.push_inputs(self.workspace, build.request)
            self.store.push_build(self.workspace, build.key)
        with told(self.url):
            job, new = send_again(
                self._connection.client,
                build,
                model_name=outcome.model.name,
                needs=needs_of(build.request, outcome.model),
                workers=workers,
                priority=priority,
            )
        return Submitted(key=build.key, answer=Answer.QUEUED if new else Answer.JOINED, job=job, note=lacks_place(build, workers))

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
        self._check_offered(request, model, workers)
        lacks = [lack for worker in workers if (lack := _lack(worker, [needs[stage] for stage in planned.stages]))]
        if lacks and len(lacks) == len(workers):
            raise lacks[0]
        request = aimed_at(request, offers[0].version if offers else None)
        if not force and self._is_stored(request.key):
            if run_elsewhere and self.outcome(request.key).build.not_run:
                run = self.run(request.key, priority=priority)
                return replace(run, note=f"It was built before; its run is queued. {run.note}".strip())
            last = self._find(request.key)
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
        rows = self._rows(limit=limit, status=statuses_of(states))
        history = self._history() if any(row.status in UNFINISHED for row in rows) else []
        jobs = self._with_waits([self._as_job(row, history) for row in rows], history)
        found = [job for job in jobs if not states or job.state in states]
        return sorted(found, key=lambda job: job.submitted_at, reverse=True)  # SQLite's rows know whole seconds only

    def revision(self, *, limit: int = 100) -> object:
        """Compares unequal once one of the newest jobs came, began, changed hands or ended; cheap, for those who ask often."""
        rows = self._rows(limit=limit, load_input=False, load_output=False)
        return tuple((row.workflow_id, row.status, row.executor_id, row.recovery_attempts) for row in rows)

    def job(self, job: str) -> Job:
        """The job whose id begins so.

        Raises:
            NotFound: None does, or several.
        """
        row = self._row(job)
        history = self._history() if row.status in UNFINISHED else []
        return self._with_waits([self._as_job(row, history)], history)[0]

    def log(self, job: str, offset: int = 0) -> LogText:
        """What the job has logged since `offset`, at once; the whole log is in the build's folder when it is done."""
        row = self._row(job)
        error = dbos_module().error.DBOSStreamTimeoutError
        texts: list[str] = []
        with told(self.url), suppress(error):  # the end of what there is yet
            for text in self._connection.client.read_stream(row.workflow_id, LOG_STREAM, offset=offset, timeout_seconds=0):
                texts.append(text)
        return LogText(text="".join(texts), offset=offset + len(texts), finished=row.status not in UNFINISHED)

    def cancel(self, job: str) -> Job:
        """Takes a queued job out, or ends a running one: its processes are gone within a second. Finished ones stay."""
        row = self._row(job)
        with told(self.url):
            self._connection.client.cancel_workflow(row.workflow_id)
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
        return self._connection.beats.workers(DEAD_AFTER_SECONDS)

    def outcome(self, key: str) -> Outcome:
        """What a build found, brought from the shared store first if it was made or run elsewhere.

        Raises:
            NotFound: There is no such build.
        """
        if self.store and not _stored_build_done(self.workspace, key):
            self.store.pull_build(self.workspace, self._whole(key), artifacts=False)
        self.bring_runs()
        return load_outcome(self.workspace, key)

    def bring_runs(self) -> None:
        """Brings what the newest runs and head-to-heads elsewhere have found; does nothing without a store."""
        if self.store:
            for key in lacking_runs(self.workspace, self._rows(name=RUN_WORKFLOW, status="SUCCESS", limit=HISTORY)):
                self.store.pull_build(self.workspace, key, artifacts=False)
            bring_duels(self.workspace, self._rows(name=DUEL_WORKFLOW, status="SUCCESS", limit=HISTORY))

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

    def _check_offered(self, request: BuildRequest, model: Model, workers: Sequence[Worker]) -> None:
        offers = [offer for worker in workers if (offer := worker.offers(request.backend))]
        if any(offer.available for offer in offers):
            return
        lacks = offers or (list(path_named(model, request.path).lacks) if is_local(self.url) else [])
        if lacks:
            where = f"any running worker for {request.device!r}" if offers else "this machine"
            raise Unavailable(f"{request.path} does not work on {where}: {lacks[0].reason}", hint=lacks[0].hint)

    def _rows(self, *, name: str | Sequence[str] = WORKFLOWS, **filters: Any) -> list[Any]:
        names = name if isinstance(name, str) else list(name)
        with told(self.url):
            return list(self._connection.client.list_workflows(name=names, sort_desc=True, **filters))

    def _with_waits(self, jobs: Sequence[Job], history: Sequence[Build]) -> list[Job]:
        if all(job.state.finished for job in jobs):
            return list(jobs)
        workers = self.workers()
        found = with_waits(jobs, workers)
        if not any(job.state is JobState.QUEUED for job in found):
            return found
        rows, known = self._rows(status=list(UNFINISHED), limit=MOST_UNFINISHED), {job.id for job in found}
        others = with_waits((self._as_job(row, history) for row in rows if row.workflow_id not in known), workers)
        return with_devices(found, [*found, *others], workers)

    def _row(self, job: str) -> Any:
        rows = self._rows(workflow_id_prefix=job, limit=2) if job.isalnum() else []
        if len(rows) != 1:
            what = "No job is" if not rows else "Several jobs are"
            raise NotFound(f"{what} called {job!r}.", hint="`engineroom jobs` lists them.")
        return rows[0]

    def _history(self) -> list[Build]:
        """Builds that are done, of the queue and of this workspace, each once."""
        endings = (ending_of(row) for row in self._rows(name=WORKFLOW, status="SUCCESS", limit=HISTORY, load_input=False))
        queued = [ending.build for ending in endings if ending and ending.build and ending.build.state is State.DONE]
        known = {(build.key, build.created_at) for build in queued}
        return [*queued, *(build for build in self._stored.builds() if (build.key, build.created_at) not in known)]

    def _whole(self, key: str) -> str:
        """The key of a build elsewhere that is given by its beginning, if one of the newest jobs made it."""
        made = {build.key for build in self._history() if build.key.startswith(key)}
        return made.pop() if len(made) == 1 else key

    def _find(self, key: str) -> str | None:
        """The newest job that made this build, or held this duel."""
        for row in self._rows(name=(WORKFLOW, DUEL_WORKFLOW), status="SUCCESS", limit=HISTORY, load_input=False):
            ending = ending_of(row)
            made = ending and (ending.build or ending.duel)
            if made and made.key == key:
                return str(row.workflow_id)
        return None

    def _as_job(self, row: Any, history: Sequence[Build]) -> Job:
        snapshot = self._snapshot(row.workflow_id) if may_have_told(row) else None
        return job_of(row, snapshot, history, self._stored.size_of)

    def _snapshot(self, job: str) -> Snapshot | None:
        with told(self.url):
            data = self._connection.client.get_event(job, STATUS_EVENT, timeout_seconds=0)
        return from_data(Snapshot, data) if data else None


def _stored_build_done(workspace: Workspace, key: str) -> bool:
    path = workspace.build_folder(key) / BUILD_FILE
    return path.exists() and read_json(Build, path).settled


def _lack(worker: Worker, needs: Sequence[Needs]) -> Unavailable | None:
    """The tool that a worker has in no toolchain, as the error that a job of it would end with."""
    card = worker.card
    for one in needs:
        if lack := lack_of(one, card.toolchains):
            return Unavailable(f"Worker {card.id} on {card.host} cannot carry this out: {lack.reason}", hint=lack.hint)
    return None
