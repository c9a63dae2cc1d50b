"""Whether a narrower precision paid: held against FP32 on the same path, under the same conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.analysis.candidate import Candidate, candidate_from, conditions
from core.analysis.versus import Versus
from core.base.precision import Precision
from core.base.units import digest, milliseconds, size
from core.benchmark.measurement import Measurement
from core.benchmark.statistics import How, MedianRatio, Winner
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome
from core.storage.builds import Build, StageName, State
from core.storage.duels import Duel

# A smaller gain is not worth an accuracy to watch.
WORTH = 1.05
_SMALLER = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Payoff:
    """What a precision brought against FP32 on the same path and device.

    Attributes:
        fp32_ms: FP32's median latency.
        speedup: How many times faster this one is, with its interval.
        paid: It is certainly faster, by more than a trifle, and nothing tells that it is wrong; None while only runs that were
            measured apart speak, and they do not settle it.
        text: A sentence with the figures.
    """

    fp32_ms: float
    speedup: float
    low: float
    high: float
    paid: bool | None
    text: str


def payoff(
    precision: Precision,
    measured: Measurement,
    fp32: Measurement,
    ratio: MedianRatio,
    *,
    size_bytes: int | None,
    fp32_bytes: int | None,
    on_par: bool | None = True,
) -> Payoff:
    """Compares two engines of one model.

    Args:
        ratio: How many times faster the first is.
    """
    name = precision.value.upper()
    figures = f"{milliseconds(measured.latency.median_ms)} against {milliseconds(fp32.latency.median_ms)} in FP32"
    interval = f"{ratio.low:.2f} to {ratio.high:.2f} times as fast"
    faster = ratio.winner is Winner.A and ratio.ratio >= WORTH
    open_yet = ratio.winner is Winner.NEITHER and ratio.how is How.APART
    if open_yet:
        text = f"Whether {name} paid is not settled: {figures}, measured apart. A head-to-head settles it."
    elif faster and on_par is None:
        text = f"{name} is {ratio.ratio:.2f} times as fast, {figures}; nothing tells whether it is right."
    elif faster and on_par:
        text = f"{name} paid: {ratio.ratio:.2f} times as fast, {figures}."
    elif faster:
        text = f"{name} did not pay: it is {ratio.ratio:.2f} times as fast, {figures}, and its outputs are not on par."
    elif ratio.winner is Winner.B:
        text = f"{name} did not pay: it is slower, {figures}."
    elif ratio.winner is Winner.A:
        text = f"{name} hardly paid: {figures}, {interval}."
    else:
        text = f"{name} did not pay: no clear difference, {figures}, {interval}."
    if not faster and not open_yet and size_bytes is not None and fp32_bytes and size_bytes < _SMALLER * fp32_bytes:
        text += f" It is smaller, {size(size_bytes)} against {size(fp32_bytes)}."
    return Payoff(
        fp32_ms=fp32.latency.median_ms,
        speedup=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        paid=None if open_yet else faster and on_par is not False,
        text=text,
    )


def payoff_of(candidate: Candidate, others: Iterable[Candidate], versus: Versus) -> Payoff | None:
    """Whether the precision paid, against the first that is the same path in FP32, measured and right."""
    if candidate.precision is Precision.FP32 or candidate.measurement is None:
        return None
    for other in others:
        alike = (other.path, other.precision, other.conditions) == (candidate.path, Precision.FP32, candidate.conditions)
        if alike and other.measurement and other.on_par is not False and (ratio := versus.ratio(candidate, other)):
            return payoff(
                candidate.precision,
                candidate.measurement,
                other.measurement,
                ratio,
                size_bytes=candidate.size_bytes,
                fp32_bytes=other.size_bytes,
                on_par=candidate.on_par,
            )
    return None


def payoff_among(
    outcome: Outcome, builds: Iterable[Build], load: Callable[[str], Outcome], duels: Sequence[Duel] = ()
) -> Payoff | None:
    """Whether a build's precision paid, against the first of these builds that is its measure; None without one.

    Args:
        load: What a build has found, by its key: only those of the same path in FP32 are read.
        duels: Head-to-heads, the newest first.
    """
    alike = (build.key for build in builds if is_measure_for(build.request, outcome.build.request))
    return payoff_of(candidate_from(outcome), (candidate_from(load(key)) for key in alike), Versus(duels))


def no_payoff_text(outcome: Outcome, builds: Iterable[Build], load: Callable[[str], Outcome]) -> str:
    """Why nothing tells whether a build's precision pays, and what to do, where `payoff_among` has found none."""
    if outcome.measurement is None:
        return f"Nothing tells whether the precision pays: this build has no latency, {_why_unmeasured(outcome)}."
    alike = [load(build.key) for build in builds if is_measure_for(build.request, outcome.build.request)]
    if not alike:
        return "Build the same path in fp32 too, and this tells whether the precision pays."
    fp32 = next((one for one in alike if one.measurement), alike[0])
    name = f"The same path in fp32 is there (build {digest(fp32.build.key)})"
    if fp32.measurement is None:
        return f"{name}, but has no latency, {_why_unmeasured(fp32)}; with one, this tells whether the precision pays."
    if fp32.parity and fp32.parity.on_par is False:
        return f"{name}, but is not on par itself, so nothing is held against it."
    return f"{name}, but was measured on other shapes, so nothing is held against it."


def _why_unmeasured(outcome: Outcome) -> str:
    build = outcome.build
    return f"as it is {build.state.value}" if build.state is not State.DONE else build.missing(StageName.MEASURE)


def is_measure_for(fp32: BuildRequest, narrow: BuildRequest) -> bool:
    """Whether one build is what the other's precision is held against."""
    return fp32.precision is Precision.FP32 and narrow.precision is not Precision.FP32 and conditions(fp32) == conditions(narrow)
