"""The jobs of a queue as they stand: the job engine's rows, with what their workers told and what they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from core.base.errors import NotFound
from core.base.serialization import from_data
from core.jobs.connection import Connection
from core.jobs.database import dbos_module, told
from core.jobs.history import StoredHistory
from core.jobs.job import (
    DUEL_WORKFLOW,
    LOG_STREAM,
    STATUS_EVENT,
    WORKFLOW,
    WORKFLOWS,
    Job,
    JobState,
    LogText,
    Snapshot,
    Worker,
)
from core.jobs.rows import UNFINISHED, ending_of, job_of, may_have_told, statuses_of
from core.jobs.runs import with_waits
from core.jobs.waiting import with_devices
from core.storage.builds import Build, State
from core.storage.workspace import Workspace

HISTORY = 200  # finished jobs that are looked back on
MOST_UNFINISHED = 1000  # jobs that are counted before another

# A worker silent for so long is dead. Its builds have been ended by then: their lease is half of this.
DEAD_AFTER_SECONDS = 20.0


class Listing:
    """Reads them, and changes nothing; what it raises is told at `Queue`."""

    def __init__(self, workspace: Workspace, url: str, connection: Connection) -> None:
        self._url = url
        self._connection = connection
        self._stored = StoredHistory(workspace, HISTORY)

    def jobs(self, *, states: Sequence[JobState] = (), limit: int = 100) -> list[Job]:
        """The newest jobs, newest first, of these states or of all."""
        rows = self.rows(limit=limit, status=statuses_of(states))
        history = self._history() if any(row.status in UNFINISHED for row in rows) else []
        jobs = self._with_waits([self._as_job(row, history) for row in rows], history)
        found = [job for job in jobs if not states or job.state in states]
        return sorted(found, key=lambda job: job.submitted_at, reverse=True)  # SQLite's rows know whole seconds only

    def revision(self, *, limit: int = 100) -> object:
        """Compares unequal once one of the newest jobs came, began, changed hands or ended; cheap, for those who ask often."""
        rows = self.rows(limit=limit, load_input=False, load_output=False)
        return tuple((row.workflow_id, row.status, row.executor_id, row.recovery_attempts) for row in rows)

    def job(self, job: str) -> Job:
        """The job whose id begins so.

        Raises:
            NotFound: None does, or several.
        """
        row = self.row(job)
        history = self._history() if row.status in UNFINISHED else []
        return self._with_waits([self._as_job(row, history)], history)[0]

    def log(self, job: str, offset: int = 0) -> LogText:
        """What the job has logged since `offset`, at once; the whole log is in the build's folder when it is done."""
        row = self.row(job)
        error = dbos_module().error.DBOSStreamTimeoutError
        texts: list[str] = []
        with told(self._url), suppress(error):  # the end of what there is yet
            for text in self._connection.client.read_stream(row.workflow_id, LOG_STREAM, offset=offset, timeout_seconds=0):
                texts.append(text)
        return LogText(text="".join(texts), offset=offset + len(texts), finished=row.status not in UNFINISHED)

    def workers(self) -> list[Worker]:
        """Every worker that gave a sign of life, dead ones until their jobs are given away."""
        return self._connection.beats.workers(DEAD_AFTER_SECONDS)

    def rows(self, *, name: str | Sequence[str] = WORKFLOWS, **filters: Any) -> list[Any]:
        names = name if isinstance(name, str) else list(name)
        with told(self._url):
            return list(self._connection.client.list_workflows(name=names, sort_desc=True, **filters))

    def row(self, job: str) -> Any:
        rows = self.rows(workflow_id_prefix=job, limit=2) if job.isalnum() else []
        if len(rows) != 1:
            what = "No job is" if not rows else "Several jobs are"
            raise NotFound(f"{what} called {job!r}.", hint="`engineroom jobs` lists them.")
        return rows[0]

    def find(self, key: str) -> str | None:
        """The newest job that made this build, or held this duel."""
        for row in self.rows(name=(WORKFLOW, DUEL_WORKFLOW), status="SUCCESS", limit=HISTORY, load_input=False):
            ending = ending_of(row)
            made = ending and (ending.build or ending.duel)
            if made and made.key == key:
                return str(row.workflow_id)
        return None

    def whole(self, key: str) -> str:
        """The key of a build elsewhere that is given by its beginning, if one of the newest jobs made it."""
        made = {build.key for build in self._history() if build.key.startswith(key)}
        return made.pop() if len(made) == 1 else key

    def _history(self) -> list[Build]:
        """Builds that are done, of the queue and of this workspace, each once."""
        endings = (ending_of(row) for row in self.rows(name=WORKFLOW, status="SUCCESS", limit=HISTORY, load_input=False))
        queued = [ending.build for ending in endings if ending and ending.build and ending.build.state is State.DONE]
        known = {(build.key, build.created_at) for build in queued}
        return [*queued, *(build for build in self._stored.builds() if (build.key, build.created_at) not in known)]

    def _with_waits(self, jobs: Sequence[Job], history: Sequence[Build]) -> list[Job]:
        if all(job.state.finished for job in jobs):
            return list(jobs)
        workers = self.workers()
        found = with_waits(jobs, workers)
        if not any(job.state is JobState.QUEUED for job in found):
            return found
        rows, known = self.rows(status=list(UNFINISHED), limit=MOST_UNFINISHED), {job.id for job in found}
        others = with_waits((self._as_job(row, history) for row in rows if row.workflow_id not in known), workers)
        return with_devices(found, [*found, *others], workers)

    def _as_job(self, row: Any, history: Sequence[Build]) -> Job:
        snapshot = self._snapshot(row.workflow_id) if may_have_told(row) else None
        return job_of(row, snapshot, history, self._stored.size_of)

    def _snapshot(self, job: str) -> Snapshot | None:
        with told(self._url):
            data = self._connection.client.get_event(job, STATUS_EVENT, timeout_seconds=0)
        return from_data(Snapshot, data) if data else None
