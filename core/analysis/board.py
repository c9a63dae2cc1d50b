"""Every build of a model on one board, told apart by title."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from core.analysis.candidate import Candidate, candidate_from
from core.analysis.comparison import ComparisonRow, compare_candidates
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome


def board(outcomes: Sequence[Outcome], *, baseline: str | None = None) -> list[ComparisonRow]:
    """A row for each build of one model, in the order given.

    Args:
        baseline: Key of the build that the others are held against; None for the default one.
    """
    return compare_candidates(titled_candidates(outcomes), baseline=baseline)


def titled_candidates(outcomes: Sequence[Outcome]) -> list[Candidate]:
    """Candidates whose titles tell them apart: what sets builds of the same path and precision apart is added."""
    candidates = [candidate_from(outcome) for outcome in outcomes]
    requests = [outcome.build.request for outcome in outcomes]
    return [
        replace(candidate, title=", ".join([candidate.title, *_apart(request, requests)]))
        for candidate, request in zip(candidates, requests, strict=True)
    ]


def _apart(request: BuildRequest, all_of: Sequence[BuildRequest]) -> Iterator[str]:
    """What of this request differs from another's of the same path and precision."""
    alike = [other for other in all_of if (other.path, other.precision) == (request.path, request.precision)]
    facts = _facts(request)
    others = [_facts(other) for other in alike]
    for name, fact in facts.items():
        if any(other.get(name) != fact for other in others):
            yield fact
    if absent := {name for other in others for name in other} - facts.keys():
        yield f"default {', '.join(sorted(absent))}"


def _facts(request: BuildRequest) -> dict[str, str]:
    """Everything that decides a build besides path and precision, and is no default."""
    facts = {"device": request.device, "signature": request.signature or "default signature"}
    facts |= {f"axis {symbol}": f"{symbol} {axis}" for symbol, axis in request.profile.axes.items()}
    facts |= {name: f"{name} {value}" for name, value in request.options.items()}
    if request.threads is not None:
        facts["threads"] = f"{request.threads} {'thread' if request.threads == 1 else 'threads'}"
    if request.calibration:
        facts["calibration"] = f"calibrated on {request.calibration[:6]}"
    if request.inputs:
        facts["inputs"] = f"inputs {request.inputs[:6]}"
    if request.ranges:
        facts["ranges"] = f"ranges of {', '.join(request.ranges)}"
    return facts | {"seed": f"seed {request.seed}", "seconds": f"{request.protocol.min_seconds:g} s measured"}
