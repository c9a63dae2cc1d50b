"""The job engine's rows, read as jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.base.errors import EngineRoomError, Failure, StageCrashed
from core.base.serialization import from_data
from core.jobs.estimate import Estimate, SizeOf, remaining
from core.jobs.job import Ending, Job, JobKind, JobState, Priority, Snapshot, Ticket
from core.stages.elsewhere import AGAIN, REPEATS
from core.storage.builds import Build, StageRecord, State
from core.storage.duels import without_starts

UNFINISHED = ("ENQUEUED", "DELAYED", "PENDING")
_FINISHED = {"SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}
_STATES = {
    "ENQUEUED": JobState.QUEUED,
    "DELAYED": JobState.QUEUED,
    "PENDING": JobState.RUNNING,
    "CANCELLED": JobState.CANCELLED,
}


def statuses_of(states: Sequence[JobState]) -> list[str] | None:
    """The engine's own words for these states; a job done and one failed both are its SUCCESS."""
    if not states:
        return None
    names = {name for name, state in _STATES.items() if state in states}
    names |= {"PENDING"} if JobState.QUEUED in states else set()  # a job whose worker is gone waits
    return sorted(names | (_FINISHED if {JobState.DONE, JobState.FAILED} & set(states) else set()))


def ending_of(row: Any) -> Ending | None:
    return from_data(Ending, row.output) if row.status == "SUCCESS" and row.output else None


def ticket_of(row: Any) -> Ticket:
    return from_data(Ticket, row.input["args"][0])


def may_have_told(row: Any) -> bool:
    """Whether the last snapshot is all there is to know of it: it runs, or was cancelled."""
    return row.status in ("PENDING", "CANCELLED")


def job_of(row: Any, snapshot: Snapshot | None, history: Sequence[Build], size_of: SizeOf) -> Job:
    """The job of a row.

    Args:
        snapshot: What its worker last told, of one that `may_have_told`.
        history: Finished builds, for the estimate of one that is not finished.
        size_of: Sizes of their models, for the same.
    """
    ticket = ticket_of(row)
    kind = JobKind(row.name)
    ending = ending_of(row)
    state = _state(row, ending)
    told = ending or snapshot
    work = told.work if told else None
    stages = work.stages if work else tuple(StageRecord(stage=stage) for stage in ticket.stages)
    if state is JobState.CANCELLED:
        stages = tuple(replace(r, state=State.CANCELLED) if r.state is State.RUNNING else r for r in stages)
    left = None if state.finished else _left(kind, ticket, stages, history, size_of)
    return Job(
        id=row.workflow_id,
        key=ticket.key,
        request=ticket.request,
        model_name=ticket.model_name,
        state=state,
        priority=Priority(row.priority),
        stages=stages,
        submitted_at=ticket.submitted_at,
        started_at=told.started_at if told else None,
        finished_at=ending.finished_at if ending else row.completed_at / 1000 if row.completed_at else None,
        progress=snapshot.progress if snapshot and state is JobState.RUNNING else None,
        worker=row.executor_id,
        attempt=row.recovery_attempts or 0,
        remaining_seconds=left.middle if left else None,
        remaining_range=(left.low, left.high) if left else None,
        left=left.text if left else "",
        error=_error(row, ending),
        kind=kind,
        runs_on=ticket.runs_on,
        queue=row.queue_name or "",
        not_run=ending.build.not_run if ending and ending.build and state is JobState.DONE else "",
        run_elsewhere=ticket.run_elsewhere,
        duel=without_starts((told.duel if told else None) or ticket.duel.duel) if ticket.duel else None,
    )


def _left(
    kind: JobKind, ticket: Ticket, stages: Sequence[StageRecord], history: Sequence[Build], size_of: SizeOf
) -> Estimate | None:
    """Of builds, and of engines that are measured again."""
    again = kind is JobKind.RUN and ticket.stages == AGAIN
    if kind is not JobKind.BUILD and not again:
        return None
    return remaining(ticket.request, stages, history, size_of, repeats=REPEATS if again else 1)


def _state(row: Any, ending: Ending | None) -> JobState:
    if row.status in _STATES:
        return _STATES[row.status]
    if ending and (work := ending.work):
        return JobState(work.state.value)
    return JobState.FAILED


def _error(row: Any, ending: Ending | None) -> Failure | None:
    """Why a job failed, in words."""
    if ending:
        work = ending.work
        return ending.error or (work.error if work else None)
    if row.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        hint = "It may need more memory than the host has. Its log tells how far it came."
        return Failure.of(StageCrashed("Every worker that took this job died over it; it is not tried again.", hint=hint))
    if row.status == "ERROR":
        return Failure.of(EngineRoomError(f"The worker failed: {row.error}", hint="The worker's own output has the details."))
    return None
