"""Every build of a model on one board, told apart by title."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from core.analysis.candidate import Candidate, candidate_from
from core.analysis.comparison import compare_candidates
from core.analysis.comparison_row import ComparisonRow
from core.precision.settings import settings_as_texts
from core.stages.outcome import Outcome
from core.storage.builds import Build
from core.storage.duels import Duel


def board(outcomes: Sequence[Outcome], *, duels: Sequence[Duel] = (), baseline: str | None = None) -> list[ComparisonRow]:
    """A row for each build of one model, in the order given.

    Args:
        duels: Head-to-heads of this workspace, the newest first.
        baseline: Key of the build that the others are held against; None for the default one.
    """
    return compare_candidates(titled_candidates(outcomes), duels=duels, baseline=baseline)


def titled_candidates(outcomes: Sequence[Outcome]) -> list[Candidate]:
    """Candidates whose titles tell them apart: what sets builds of the same path and precision apart is added."""
    candidates = [candidate_from(outcome) for outcome in outcomes]
    builds = [outcome.build for outcome in outcomes]
    return [
        replace(candidate, title=", ".join([candidate.title, *_apart(build, builds)]))
        for candidate, build in zip(candidates, builds, strict=True)
    ]


def _apart(build: Build, all_of: Sequence[Build]) -> Iterator[str]:
    """What of this build differs from another's of the same path and precision."""
    path, precision = build.request.path, build.request.precision
    alike = [other for other in all_of if (other.request.path, other.request.precision) == (path, precision)]
    facts = _facts(build)
    others = [_facts(other) for other in alike]
    for name, fact in facts.items():
        if any(other.get(name) != fact for other in others):
            yield fact
    if absent := {name for other in others for name in other} - facts.keys():
        yield f"default {', '.join(sorted(name.removeprefix('lower ') for name in absent))}"


def _facts(build: Build) -> dict[str, str]:
    """Everything that decides a build besides path and precision, and is no default; and where it was run, if not there."""
    request = build.request
    facts = {"device": request.device, "signature": request.signature or "default signature"}
    facts |= {f"axis {symbol}": f"{symbol} {axis}" for symbol, axis in request.profile.axes.items()}
    facts |= {name: f"{name} {value}" for name, value in request.options.items()}
    facts |= {f"lower {text.partition('=')[0]}": text for text in settings_as_texts(request.lowering)}
    if request.threads is not None:
        facts["threads"] = f"{request.threads} {'thread' if request.threads == 1 else 'threads'}"
    if request.calibration:
        facts["calibration"] = f"calibrated on {request.calibration[:6]}"
    if request.inputs:
        facts["inputs"] = f"inputs {request.inputs[:6]}"
    if request.ranges:
        facts["ranges"] = f"ranges of {', '.join(request.ranges)}"
    place = build.ran_elsewhere
    facts["run"] = f"run on {place.name}" if place else "not run" if build.unrun else "run where it was built"
    return facts | {"seed": f"seed {request.seed}", "seconds": f"{request.protocol.min_seconds:g} s measured"}
