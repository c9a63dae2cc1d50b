"""Queues jobs with the engines of stored builds: a run elsewhere, another measurement, a head-to-head."""

from __future__ import annotations

from collections.abc import Sequence

from core.benchmark.duel import DuelProtocol
from core.jobs.again import lacks_place, send_again
from core.jobs.connection import Connection
from core.jobs.database import told
from core.jobs.duels import send_duel
from core.jobs.job import Answer, Priority, Submitted
from core.jobs.listing import Listing
from core.jobs.runs import able, send_run, what_runs
from core.stages.contestants import duel_of
from core.stages.outcome import Outcome
from core.stages.toolchains import needs_of
from core.storage.builds import State
from core.storage.duels import stored_duel
from core.storage.store import Store
from core.storage.workspace import Workspace


class EngineJobs:
    """Of one queue; what its methods raise is told at those of `Queue`."""

    def __init__(self, workspace: Workspace, url: str, connection: Connection, listing: Listing, store: Store | None) -> None:
        self._workspace, self._url, self._store = workspace, url, store
        self._connection, self._listing = connection, listing

    def run(self, outcome: Outcome, priority: Priority) -> Submitted:
        build, workers, runs_on = outcome.build, self._listing.workers(), what_runs(outcome)
        self._push(outcome)
        with told(self._url):
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
        return Submitted(key=build.key, answer=_answer(new), job=job, note=note)

    def measure(self, outcome: Outcome, priority: Priority) -> Submitted:
        build, workers = outcome.build, self._listing.workers()
        self._push(outcome)
        with told(self._url):
            job, new = send_again(
                self._connection.client,
                build,
                model_name=outcome.model.name,
                needs=needs_of(build.request, outcome.model),
                workers=workers,
                priority=priority,
            )
        return Submitted(key=build.key, answer=_answer(new), job=job, note=lacks_place(build, workers))

    def duel(self, outcomes: Sequence[Outcome], protocol: DuelProtocol | None, priority: Priority, *, force: bool) -> Submitted:
        duel = duel_of(outcomes, protocol)
        before = stored_duel(self._workspace, duel.key)
        if before and before.state is State.DONE and not force:
            return Submitted(key=duel.key, answer=Answer.STORED, job=self._listing.find(duel.key))
        for outcome in outcomes:
            self._push(outcome, inputs=True)
        workers = self._listing.workers()
        with told(self._url):
            job, new = send_duel(self._connection.client, duel, outcomes, workers=workers, priority=priority, force=force)
        listening = any(worker.alive and worker.card.device_type == duel.device for worker in workers)
        note = "" if listening else f"No worker for {duel.device!r} is running: start one with `engineroom worker`."
        return Submitted(key=duel.key, answer=_answer(new), job=job, note=note)

    def _push(self, outcome: Outcome, *, inputs: bool = False) -> None:
        """Has the shared store hold an engine that is here with what it is fed.

        Args:
            inputs: Those go there wherever the engine is.
        """
        here = outcome.built is not None and self._workspace.artifact(outcome.built.artifact) is not None
        if self._store and (here or inputs):
            self._store.push_inputs(self._workspace, outcome.build.request)
        if self._store and here:
            self._store.push_build(self._workspace, outcome.build.key)


def _answer(new: bool) -> Answer:
    return Answer.QUEUED if new else Answer.JOINED
