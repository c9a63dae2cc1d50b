"""A head-to-head: engines take turns in short blocks, each in a process of its own, with fresh processes several times.

Where a process lands stays with it for life (cores, memory, luck of its start), and load comes and goes. So blocks of all engines
lie close together in random order, which load cannot favour, and many short ones tell more than few long ones; and processes are
started anew, each start being one observation: Kalibera and Jones, Rigorous benchmarking in reasonable time (ISMM 2013), repeat
at the highest level that varies. How many starts it takes is `sequential`'s rule. See docs/measurements/verdicts.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from time import perf_counter_ns

from core.base.tensors import Session, Tensors
from core.benchmark.sequential import MOST, is_narrow, ratio_from
from core.benchmark.statistics import MedianRatio


@dataclass(frozen=True, slots=True, kw_only=True)
class DuelProtocol:
    """How engines are held head to head.

    Attributes:
        block_seconds: An engine's turn lasts at least so long, and one run.
        rounds: Turns of each engine in one start, fewer for slow ones.
        start_seconds: What the turns of one engine in one start may take together, but for the fewest rounds.
        fewest_rounds: That are taken however slow they are.
        starts: Fresh processes at most.
        max_seconds: No other start is begun after so long.
    """

    block_seconds: float = 0.005
    rounds: int = 150
    start_seconds: float = 3.0
    fewest_rounds: int = 5
    starts: int = MOST
    max_seconds: float = 600.0

    def rounds_for(self, run_seconds: float) -> int:
        """Rounds of one start, by what a run of the slowest engine takes."""
        turn = max(self.block_seconds, run_seconds)
        return min(self.rounds, max(self.fewest_rounds, int(self.start_seconds / turn)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One engine's turn.

    Attributes:
        median_ms: Of its runs.
        processor_seconds: That its process has taken so far.
    """

    median_ms: float
    runs: int
    processor_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What one start of all engines found.

    Attributes:
        blocks: Milliseconds of each block's median run, by the engine's key, in the rounds' order.
        load_ms: From opening each engine to ready.
        conditions: What the machine told meanwhile: "other load", "steal", a GPU's clock and temperature.
        warnings: Sentences about what disturbed it.
    """

    blocks: dict[str, tuple[float, ...]]
    load_ms: dict[str, float] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def median_ms(self, key: str) -> float:
        """Of an engine's blocks."""
        return median(self.blocks[key])

    def log_ratio(self, a: str, b: str) -> float:
        """Of B's latency over A's: the median over rounds, in which their blocks lie next to each other."""
        pairs = zip(self.blocks[a], self.blocks[b], strict=True)
        return median(math.log(max(of_b, 1e-6) / max(of_a, 1e-6)) for of_a, of_b in pairs)


def take_turn(session: Session, feed: Tensors, seconds: float) -> tuple[float, int]:
    """Milliseconds of the median run of one block, and how many there were; one more before it warms what others left cold."""
    clock, run = perf_counter_ns, session.run
    began = clock()
    run(feed)
    if (took := clock() - began) >= seconds * 1e9:
        return took / 1e6, 1
    samples: list[int] = []
    until = clock() + int(seconds * 1e9)
    now = clock()
    while now < until or not samples:
        began = now
        run(feed)
        now = clock()
        samples.append(now - began)
    return median(samples) / 1e6, len(samples)


def ratio_between(starts: Sequence[Start], a: str, b: str) -> MedianRatio | None:
    """How many times faster A is than B; None where starts are too few to tell."""
    return ratio_from([start.log_ratio(a, b) for start in starts])


def all_ratios(starts: Sequence[Start], keys: Sequence[str]) -> Mapping[tuple[str, str], MedianRatio | None]:
    """Of each pair of engines."""
    return {(a, b): ratio_between(starts, a, b) for a, b in combinations(keys, 2)}


def is_settled(starts: Sequence[Start], keys: Sequence[str]) -> bool:
    """Whether the interval of each pair is narrow enough."""
    return all(ratio is not None and is_narrow(ratio) for ratio in all_ratios(starts, keys).values())
