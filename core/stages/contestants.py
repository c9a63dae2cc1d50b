"""Which builds can be held head to head, and what that is then."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.base.errors import InvalidRequest
from core.base.units import digest
from core.benchmark.duel import DuelProtocol
from core.stages.outcome import Outcome
from core.stages.stage import Needs
from core.stages.toolchains import needs_of
from core.storage.builds import StageName, State
from core.storage.duels import Contestant, Duel, duel_key

MOST = 12


def duel_of(outcomes: Sequence[Outcome], protocol: DuelProtocol | None = None) -> Duel:
    """The head-to-head of these builds' engines, before it has begun.

    Raises:
        InvalidRequest: They are fewer than two, or more than fit beside each other; or they are of several models, on several
            devices, on several shapes; or one has no engine that has run.
    """
    protocol = protocol or DuelProtocol()
    found = list({outcome.build.key: outcome for outcome in outcomes}.values())
    if not 2 <= len(found) <= MOST:
        raise InvalidRequest(
            f"A head-to-head is between 2 and {MOST} builds; {len(found)} different ones were named.",
            hint="Name the builds by their keys: `engineroom builds` lists them.",
        )
    for outcome in found:
        _check_runs(outcome)
    first = found[0]
    for other in found[1:]:
        _check_alike(first, other)
    contestants = tuple(_contestant(one) for one in found)
    return Duel(
        key=duel_key(contestants, protocol),
        model=first.model.digest,
        device=first.build.ran_on,
        contestants=contestants,
        protocol=protocol,
        created_at=time.time(),
    )


def _contestant(outcome: Outcome) -> Contestant:
    build, measured = outcome.build, outcome.measurement
    return Contestant(
        key=build.key,
        made_at=build.created_at,
        title=build.request.full_title,
        measured_ms=measured.latency.median_ms if measured else None,
        measured_on=measured.machine.get("host", "") if measured else "",
    )


def needs_of_engine(outcome: Outcome) -> Needs:
    """What opening a build's engine needs of an interpreter."""
    return needs_of(outcome.build.request, outcome.model)[StageName.DUEL]


def _check_runs(outcome: Outcome) -> None:
    build, name = outcome.build, digest(outcome.build.key)
    if build.state is not State.DONE or outcome.built is None:
        raise InvalidRequest(f"Build {name} has no engine to run: it is {build.state.value}.", hint="Build it first.")
    if build.not_run:
        raise InvalidRequest(
            f"The engine of build {name} has not run yet: {build.not_run}.", hint=f"`engineroom run {name}` runs it where it can."
        )


def _check_alike(one: Outcome, other: Outcome) -> None:
    names = f"{digest(one.build.key)} and {digest(other.build.key)}"
    if one.model.digest != other.model.digest:
        raise InvalidRequest(f"Builds {names} are of two models.", hint="Hold builds of one model head to head.")
    if one.build.ran_on != other.build.ran_on:
        raise InvalidRequest(
            f"Builds {names} run on {one.build.ran_on} and on {other.build.ran_on}: they cannot take turns.",
            hint="Hold builds of one device head to head.",
        )
    if one.measurement and other.measurement and one.measurement.shapes != other.measurement.shapes:
        raise InvalidRequest(
            f"Builds {names} were measured on other shapes: {one.measurement.shapes} and {other.measurement.shapes}.",
            hint="Build both with the same --shape.",
        )
