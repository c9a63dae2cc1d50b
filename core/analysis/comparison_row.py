"""One candidate of a comparison beside the others, and how rows are put in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from core.analysis.candidate import Candidate
from core.analysis.payoff import Payoff
from core.analysis.realized import Realized
from core.benchmark.latency import Latency
from core.benchmark.statistics import MedianRatio


class Standing(str, Enum):
    """Where a candidate stands against the baseline."""

    BASELINE = "baseline"
    FASTER = "faster"
    SAME = "no clear difference"
    APART = "measured apart"
    SLOWER = "not worth it"
    WRONG = "wrong"
    UNCHECKED = "not checked"
    FAILED = "failed"
    NOT_COMPARABLE = "not comparable"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One candidate beside the others.

    Attributes:
        verdict: In words.
        stands_in: Of the baseline: what it stands in for, where that was not measured ("ONNX Runtime was not built").
        speedup: How many times faster than the baseline; None for the baseline itself and for what is not comparable with it.
        payoff: Whether its precision paid; None in FP32, and where the same path was not measured in FP32.
        rivals: Of the fastest that is right: names of others that may be as fast, for all that is known.
        realized: Which precision its layers ran in; None where it told no layers.
    """

    candidate: Candidate
    standing: Standing
    verdict: str
    speedup: MedianRatio | None = None
    payoff: Payoff | None = None
    realized: Realized | None = None
    stands_in: str = ""
    rivals: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.candidate.key

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def latency(self) -> Latency | None:
        return self.candidate.latency

    @property
    def speed(self) -> str:
        """The verdict without the stamp."""
        return self.verdict.removesuffix(f"; {self.candidate.stamp}") if self.candidate.stamp else self.verdict

    @property
    def disagreements(self) -> tuple[str, ...]:
        """Sentences on layers that ran in another precision than was asked of them."""
        return tuple(pair.warning for pair in self.realized.disagreements) if self.realized else ()


def by_latency(rows: Sequence[ComparisonRow]) -> list[tuple[ComparisonRow, Latency]]:
    """The rows that were measured with their latency, the fastest first."""
    measured = [(row, row.latency) for row in rows if row.latency]
    return sorted(measured, key=lambda pair: pair[1].median_ms)


def fastest_first(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """All rows, those that were not measured last."""
    return [*(row for row, _ in by_latency(rows)), *(row for row in rows if not row.latency)]


def best_of(rows: Sequence[ComparisonRow]) -> ComparisonRow:
    """The one with the largest speedup."""
    return max(rows, key=lambda row: row.speedup.ratio if row.speedup else 0.0)
