"""A profile that contradicts the latency: what rests on its times is then not told, and nothing is advised by it.

Layers are timed in runs of their own, few of them and with the runtime's profiler on, so that one hiccup of the machine spoils
them where it does not touch a median. Seen of engines of some milliseconds: layers sum to 0.92 to 1.97 times the median, on
TensorRT to 1.2 to 1.6 times, as the profiler costs time for each layer; two streams at once double a sum at most. Three times
is beyond all of that. Below a third the layers are not where the time goes, whatever their shares: so it was of graphs of one to
four layers (0.11 to 0.28), whose call costs more than its work. Of 61 engines profiled on a busy host, 11 were above, 11 below.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.analysis.layers import total_time_ms
from core.base.units import milliseconds, number
from core.benchmark.measurement import Measurement
from core.graph.engine_graph import EngineGraph
from core.stages.outcome import Outcome

MOST_TIMES = 3.0
LEAST_TIMES = 1 / MOST_TIMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What the layers' times sum to, beside a run's median: on a GPU that of its kernels alone, where it was taken."""

    layers_ms: float
    run_ms: float

    @property
    def times(self) -> float:
        return self.layers_ms / self.run_ms

    @property
    def text(self) -> str:
        """A sentence."""
        sums = f"The layers' times sum to {milliseconds(self.layers_ms)}"
        if self.times > 1:
            return f"{sums}, {number(self.times, 2)} times the median latency of {milliseconds(self.run_ms)}."
        return f"{sums}, {number(self.times, 2)} of the median latency of {milliseconds(self.run_ms)}."

    @property
    def meaning(self) -> str:
        """What follows from it: sentences."""
        if self.times > 1:
            return (
                "They were taken in other runs, which were disturbed or slowed by the profiler, or layers ran side by side: no "
                "layer's time or share is to be relied on, and nothing is advised by them. Building it again (`--force`) on a "
                "quiet machine profiles it anew."
            )
        return (
            "Most of a run's time goes by outside of its layers, in the runtime's own call, or the layers' times are wrong: a "
            "layer's share is one of little, and nothing is advised by them."
        )


def contradiction_of(graph: EngineGraph | None, measured: Measurement | None) -> Contradiction | None:
    """None where times and latency go together, and where either was not measured."""
    layers = total_time_ms(graph) if graph else None
    run = _run_ms(measured) if measured else None
    if not layers or not run or LEAST_TIMES <= layers / run <= MOST_TIMES:
        return None
    return Contradiction(layers_ms=layers, run_ms=run)


def contradiction_in(outcome: Outcome) -> Contradiction | None:
    """Of a build."""
    return contradiction_of(outcome.graph, outcome.measurement)


def trusted_graph(outcome: Outcome) -> EngineGraph | None:
    """A build's layers, without their times where these contradict its latency: for whatever ranks or weighs layers by time."""
    graph = outcome.graph
    return graph.with_times({}) if graph and contradiction_in(outcome) else graph


def _run_ms(measured: Measurement) -> float:
    """The median of what the profiler's sum is to be held against: copies to and from a GPU are no layers."""
    plain = [run.compute.median_ms for run in (measured.gpu.runs if measured.gpu else ()) if not run.transfers and not run.graph]
    return plain[0] if plain else measured.latency.median_ms
