"""Turns, rounds and what a start tells."""

from __future__ import annotations

import math

import pytest

from core.base.tensors import Array, Tensors
from core.benchmark import duel
from core.benchmark.duel import DuelProtocol, Start, is_settled, ratio_between, take_turn


class Engine:
    """One whose clock goes on by so many nanoseconds a run, and by more between runs."""

    def __init__(self, run_ns: int, between_ns: int = 0) -> None:
        self.now, self.runs = 0, 0
        self.run_ns, self.between_ns = run_ns, between_ns

    def run(self, inputs: Tensors) -> dict[str, Array]:
        self.now += self.run_ns
        self.runs += 1
        return {}

    def clock(self) -> int:
        self.now += self.between_ns
        return self.now


def turn_of(engine: Engine, seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[float, int]:
    monkeypatch.setattr(duel, "perf_counter_ns", engine.clock)
    return take_turn(engine, {}, seconds)


def test_a_turn_lasts_as_long_as_it_should_and_warms_up_by_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(1_000_000)
    assert turn_of(engine, 0.005, monkeypatch) == (1.0, 5)
    assert engine.runs == 6


def test_a_slow_engine_runs_once_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(80_000_000)
    assert turn_of(engine, 0.005, monkeypatch) == (80.0, 1)
    assert engine.runs == 1


def test_a_turn_that_others_took_the_time_of_still_has_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turn_of(Engine(1_000, between_ns=4_000_000), 0.005, monkeypatch)[1] == 1


def test_slow_engines_take_fewer_rounds() -> None:
    protocol = DuelProtocol()
    assert protocol.rounds_for(0.0001) == 150
    assert protocol.rounds_for(0.1) == 30
    assert protocol.rounds_for(5.0) == 5


def test_a_start_pairs_blocks_of_one_round() -> None:
    load = (1.0, 3.0, 1.0, 2.0, 1.0)  # what comes and goes is in both of a round's blocks
    start = Start(blocks={"a": load, "b": tuple(1.5 * ms for ms in load)})
    assert start.log_ratio("a", "b") == pytest.approx(math.log(1.5))
    assert start.log_ratio("b", "a") == pytest.approx(-math.log(1.5))
    assert start.median_ms("a") == 1.0


def test_it_is_settled_when_each_pair_is() -> None:
    def start(b: float, c: float) -> Start:
        return Start(blocks={"a": (1.0,) * 5, "b": (b,) * 5, "c": (c,) * 5})

    steady = [start(2.0 + shift, 1.0) for shift in (0.0, 0.01, 0.0, 0.01)]
    assert not is_settled(steady[:3], ("a", "b"))
    assert is_settled(steady, ("a", "b", "c"))
    unsteady = [start(2.0, 1.0 + shift) for shift in (0.0, 0.1, -0.1, 0.05)]
    assert is_settled(unsteady, ("a", "b"))
    assert not is_settled(unsteady, ("a", "b", "c"))
    ratio = ratio_between(steady, "a", "b")
    assert ratio is not None
    assert ratio.ratio == pytest.approx(2.005, rel=1e-3)
