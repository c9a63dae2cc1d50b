"""How long a build will take, as a range: judged by earlier builds of the closest kind, scaled where the model was another.

What a stage takes is the start of its process, for MEASURE the time that its protocol asks for, and a rest that grows with the
model. Only the rest is scaled, by the models' sizes on disk. Builds of the same model scatter by the machine's load; of other
models the size tells the order of magnitude alone, so their range is wider. Of 101 builds of 15 models on a host whose load went
from 0.5 to 7, each estimated from all others, 63 % took what the range said (18 % longer); from other models' alone 92 %.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.base.units import seconds_between
from core.request.build_request import BuildRequest
from core.storage.builds import Build, StageName, StageRecord, State

Kind = Callable[[BuildRequest], tuple[object, ...]]
# Bytes of a model by its digest; None where that is not known.
SizeOf = Callable[[str], int | None]

START_SECONDS = 2.0  # of a stage's process: the interpreter and its runtime
MOST_SCALED = 50.0
# How far a single earlier build may be off, each way; of several by the root of their number less.
OWN_SCATTER, OTHERS_SCATTER = 0.5, 1.0
ENDS = (0.1, 0.9)  # quantiles of several

# From the closest kind to the widest; the first with a finished stage decides.
_OWN: tuple[Kind, ...] = (
    lambda r: (r.model, r.path, r.precision, r.device),
    lambda r: (r.model, r.path, r.device),
)
_OTHERS: tuple[Kind, ...] = (
    lambda r: (r.path, r.precision, r.device),
    lambda r: (r.path, r.device),
)
# A reference or a comparison takes much the same whatever the path; a conversion or a build does not.
_ANY_PATH: Kind = lambda r: (r.device,)  # noqa: E731
_OF_ANY_PATH = (StageName.SIMPLIFY, StageName.REFERENCE, StageName.PARITY, StageName.MEASURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds: at least, about, at most."""

    low: float
    middle: float
    high: float

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(low=self.low + other.low, middle=self.middle + other.middle, high=self.high + other.high)

    def __mul__(self, times: int) -> Estimate:
        return Estimate(low=times * self.low, middle=times * self.middle, high=times * self.high)

    def after(self, gone: float) -> Estimate:
        """What is left of it."""
        return Estimate(low=max(0.0, self.low - gone), middle=max(0.0, self.middle - gone), high=max(0.0, self.high - gone))

    @property
    def text(self) -> str:
        """`2 to 5 min`, `about 40 s`; empty where nothing is left."""
        return seconds_between(self.low, self.high) if self.high > 0 else ""


def stage_estimate(
    stage: StageName, request: BuildRequest, history: Iterable[Build], size_of: SizeOf = lambda model: None
) -> Estimate | None:
    """What a stage takes, by the closest kind of build that has finished it; None without any."""
    done = [
        (build.request, record.seconds)
        for build in history
        for record in build.all_stages
        if record.stage is stage and record.state is State.DONE and record.seconds is not None
    ]
    for kind in (*_OWN, *_OTHERS, *((_ANY_PATH,) if stage in _OF_ANY_PATH else ())):
        wanted = kind(request)
        if found := [_carried_over(stage, seconds, of, request, size_of) for of, seconds in done if kind(of) == wanted]:
            return _range(found, OWN_SCATTER if kind in _OWN else OTHERS_SCATTER)
    return None


def remaining(
    request: BuildRequest,
    stages: Sequence[StageRecord],
    history: Sequence[Build],
    size_of: SizeOf = lambda model: None,
    *,
    now: float | None = None,
    repeats: int = 1,
) -> Estimate | None:
    """Time left of a build whose stages stand so; None when any that is left was never seen, or takes longer than all before.

    Args:
        repeats: How often each stage is carried out.
    """
    now = time.time() if now is None else now
    total = Estimate(low=0.0, middle=0.0, high=0.0)
    for record in stages:
        if record.state not in (State.WAITING, State.RUNNING):
            continue
        found = stage_estimate(record.stage, request, history, size_of)
        if found is None:
            return None
        gone = now - record.started_at if record.state is State.RUNNING and record.started_at else 0.0
        whole = found * repeats
        if gone > whole.high + START_SECONDS:
            return None
        total += whole.after(gone)
    return total


def _carried_over(stage: StageName, seconds: float, of: BuildRequest, to: BuildRequest, size_of: SizeOf) -> float:
    """What one build took, as another would: with its own protocol, and the rest by the sizes of the models."""
    fixed = min(seconds, START_SECONDS + _asked_for(stage, of))
    rest = seconds - fixed
    if of.model != to.model and (known := size_of(of.model)) and (wanted := size_of(to.model)):
        rest *= min(MOST_SCALED, max(1 / MOST_SCALED, wanted / known))
    return max(0.0, fixed - _asked_for(stage, of)) + _asked_for(stage, to) + rest


def _asked_for(stage: StageName, request: BuildRequest) -> float:
    """Seconds that the request itself asks for."""
    protocol = request.protocol
    return protocol.warmup_seconds + protocol.min_seconds if stage is StageName.MEASURE else 0.0


def _range(found: Sequence[float], scatter: float) -> Estimate:
    ordered = sorted(found)
    widened = 1 + scatter / len(ordered) ** 0.5
    low, high = (_quantile(ordered, share) for share in ENDS)
    return Estimate(low=low / widened, middle=statistics.median(ordered), high=high * widened)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest of sorted values."""
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])
