"""How fast two builds are against each other: by the newest head-to-head of both, else as they were measured apart.

Measured apart, each engine ran in a process of its own at a time of its own; what load, placement and luck of a start made of it
no interval of one run tells. So a winner is named only where the difference is beyond what repeated runs of one engine differ by
on that machine, as head-to-heads there have shown: each of their starts is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.analysis.candidate import Candidate
from core.benchmark.measurement import Measurement
from core.benchmark.statistics import How, MedianRatio, compare_medians
from core.storage.builds import Place
from core.storage.duels import Duel

# Where nothing tells: 14 measurements of one engine on a busy machine lay up to 2.0 times apart (docs/measurements/verdicts.md).
ASSUMED_APART = 2.0
LEAST_APART = 1.05
NEWEST = 10  # head-to-heads of a machine that are looked at: what was long ago says little of it


@dataclass(frozen=True, slots=True)
class Versus:
    """What is known of engines' speeds against each other.

    Attributes:
        duels: Head-to-heads, of other models' engines too, the newest first.
    """

    duels: Sequence[Duel] = ()

    def ratio(self, a: Candidate, b: Candidate) -> MedianRatio | None:
        """How many times faster A is than B; None where one was not measured, or not on the same shapes."""
        if duel := self.duel(a, b):
            return duel.ratio(a.key, b.key)
        one, other = a.measurement, b.measurement
        if one is None or other is None or one.shapes != other.shapes:
            return None
        return compare_medians(_samples(one), _samples(other), apart=self.apart(one, other))

    def duel(self, a: Candidate, b: Candidate) -> Duel | None:
        """The newest head-to-head that tells of both."""
        wanted = {(a.key, a.made_at), (b.key, b.made_at)}
        there = (duel for duel in self.duels if duel.telling and duel.device == a.device == b.device)
        return next((duel for duel in there if wanted <= {(one.key, one.made_at) for one in duel.contestants}), None)

    def apart(self, one: Measurement, other: Measurement) -> float:
        """How many times one measurement may be the other although the engine is the same."""
        if one.machine.get("host") != other.machine.get("host") or one.machine.get("gpu") != other.machine.get("gpu"):
            return ASSUMED_APART
        there = [duel for duel in self.duels if duel.telling and duel.place and _is_at(one, duel.place)][:NEWEST]
        known = max([LEAST_APART, *_repeats(there)]) if there else ASSUMED_APART
        return max(known, ASSUMED_APART) if one.weaknesses or other.weaknesses else known


def _is_at(measured: Measurement, place: Place) -> bool:
    gpu = measured.machine.get("gpu")
    return measured.machine.get("host") == place.host and (gpu == place.name if gpu else place.device.startswith("cpu"))


def _repeats(duels: Iterable[Duel]) -> Iterator[float]:
    """How many times the slowest of an engine's runs was the fastest, for each engine; its own measurement is one of them."""
    for duel in duels:
        for one in duel.contestants:
            medians = [start.median_ms(one.key) for start in duel.starts]
            if one.measured_ms and duel.place and one.measured_on == duel.place.host:
                medians.append(one.measured_ms)
            yield max(medians) / min(medians)


def _samples(measurement: Measurement) -> tuple[float, ...]:
    latency = measurement.latency
    return measurement.samples_ms or (latency.low_ms, latency.median_ms, latency.high_ms)


def how_text(ratios: Iterable[MedianRatio | None]) -> str:
    """What verdicts of these rest on, in sentences for a caption; empty without any."""
    known = [ratio for ratio in ratios if ratio]
    told = []
    if any(ratio.how is How.HEAD_TO_HEAD for ratio in known):
        told.append(
            "Head to head: the engines took turns in short blocks, with fresh processes several times; "
            "a pair is called different wrongly in at most 5 %."
        )
    if bars := [ratio.apart for ratio in known if ratio.how is How.APART]:
        bar = max(bars)
        basis = (
            "Up to 2x is assumed, as figures are weak or no head-to-head has told yet what repeats differ by here."
            if bar == ASSUMED_APART
            else f"Repeats of one engine have differed by up to {bar:.2f}x here."
        )
        told.append(f"Measured apart: a winner is named only beyond what repeated runs of one engine differ by. {basis}")
    return " ".join(told)
