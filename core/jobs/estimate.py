"""How long a build will take, judged by earlier builds of the same kind."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence

from core.request.build_request import BuildRequest
from core.storage.builds import Build, StageName, StageRecord, State

Kind = Callable[[BuildRequest], tuple[object, ...]]

# From the closest kind to the widest; the first with a finished stage decides.
_KINDS: tuple[Kind, ...] = (
    lambda r: (r.model, r.path, r.precision, r.device),
    lambda r: (r.model, r.path, r.device),
    lambda r: (r.path, r.precision, r.device),
    lambda r: (r.path, r.device),
)


def stage_seconds(stage: StageName, request: BuildRequest, history: Iterable[Build]) -> float | None:
    """The median of the stage's times over the closest kind of build that has one; None without any."""
    done = [
        (build.request, record.seconds)
        for build in history
        for record in build.stages
        if record.stage is stage and record.state is State.DONE and record.seconds is not None
    ]
    for kind in _KINDS:
        wanted = kind(request)
        if found := [seconds for other, seconds in done if kind(other) == wanted]:
            return statistics.median(found)
    return None


def remaining_seconds(
    request: BuildRequest, stages: Sequence[StageRecord], history: Sequence[Build], *, now: float | None = None
) -> float | None:
    """Time left of a build whose stages stand so; None when any stage that is left was never seen."""
    now = time.time() if now is None else now
    total = 0.0
    for record in stages:
        if record.state not in (State.WAITING, State.RUNNING):
            continue
        seconds = stage_seconds(record.stage, request, history)
        if seconds is None:
            return None
        gone = now - record.started_at if record.state is State.RUNNING and record.started_at else 0.0
        total += max(0.0, seconds - gone)
    return total
