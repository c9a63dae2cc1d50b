"""Every build of a model on one board: told apart by title, held against a sensible baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from core.analysis.comparison import Candidate, ComparisonRow, candidate_from, compare_candidates
from core.base.precision import Precision
from core.base.profile import AxisRange
from core.models.model import Format
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome

# The framework that a format comes from, as the start of the path's end: what a model runs on before anything is done to it.
_OWN_RUNTIME = {
    Format.SAVEDMODEL: ("tensorflow.signature", "tensorflow"),
    Format.KERAS: ("tensorflow.signature", "tensorflow"),
    Format.GRAPHDEF: ("tensorflow",),
    Format.ONNX: ("onnxruntime",),
    Format.TFLITE: ("litert",),
}


def board(outcomes: Sequence[Outcome], *, baseline: str | None = None) -> list[ComparisonRow]:
    """A row for each build of one model, in the order given.

    Args:
        baseline: Key of the build that the others are held against; None for `default_baseline`.
    """
    candidates = titled_candidates(outcomes)
    frozen = outcomes[0].model.frozen_bytes if outcomes else None
    return compare_candidates(candidates, baseline=baseline or default_baseline(outcomes), frozen_bytes=frozen)


def default_baseline(outcomes: Sequence[Outcome]) -> str | None:
    """The source's own framework in fp32, else the slowest that is right in fp32; None when nothing of that was measured."""
    measured = [one for one in outcomes if one.measurement and one.build.request.precision is Precision.FP32]
    for end in _OWN_RUNTIME[outcomes[0].model.format] if outcomes else ():
        for outcome in measured:
            if f".{end}." in f".{outcome.build.request.path}.":
                return outcome.build.key
    right = [one for one in measured if one.measurement and (one.parity is None or one.parity.on_par is not False)]
    slowest = max(right, key=lambda one: one.measurement.latency.median_ms if one.measurement else 0.0, default=None)
    return slowest.build.key if slowest else None


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
    facts |= {f"axis {symbol}": f"{symbol} {_lengths(axis)}" for symbol, axis in request.profile.axes.items()}
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


def _lengths(axis: AxisRange) -> str:
    return str(axis.opt) if axis.min == axis.max else f"{axis.min}:{axis.opt}:{axis.max}"
