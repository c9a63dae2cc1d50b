"""Seats at a head-to-head, with threads in place of engines."""

from __future__ import annotations

import pytest

from core.base.children.call import Fetch
from core.base.errors import Cancelled, EngineRoomError, RunFailed
from core.benchmark.duel import Block
from core.stages.seats import Seat

BLOCK = {"median_ms": 2.5, "runs": 3}


def seat_of(run: object) -> Seat:
    seat = Seat("ONNX Runtime in fp32", run)  # type: ignore[arg-type]
    seat.start()
    return seat


def test_an_engine_waits_until_it_is_its_turn_and_is_heard_after_it() -> None:
    turns: list[float | None] = []

    def run(turn: Fetch) -> None:
        while turns.append(seconds := turn(BLOCK)) or seconds is not None:
            pass

    seat = seat_of(run)
    assert seat.hear(Block) == Block(median_ms=2.5, runs=3)
    seat.ask(0.5)
    assert seat.hear(Block).runs == 3
    seat.dismiss()
    assert seat.left() is None
    assert turns == [0.5, None]


def test_one_that_asks_on_after_its_end_is_told_so_each_time() -> None:
    answers: list[float | None] = []

    def run(turn: Fetch) -> None:
        answers.extend(turn(BLOCK) for _ in range(5))

    seat = seat_of(run)
    seat.hear(Block)
    seat.dismiss()
    assert seat.left() is None
    assert answers == [None] * 5


def test_what_an_engine_ended_with_is_told_with_its_name() -> None:
    def fail(_: Fetch) -> None:
        raise RunFailed("It needs another GPU.", hint="Get one.")

    seat = seat_of(fail)
    for _ in range(2):  # once more, when it is asked again
        with pytest.raises(RunFailed, match="ONNX Runtime in fp32 could not take part: It needs another GPU") as told:
            seat.hear(Block)
        assert told.value.hint == "Get one."

    def cancelled(_: Fetch) -> None:
        raise Cancelled("It was cancelled.")

    with pytest.raises(Cancelled):
        seat_of(cancelled).hear(Block)
    with pytest.raises(EngineRoomError, match="left the head-to-head before it was over"):
        seat_of(lambda _: None).hear(Block)
    with pytest.raises(EngineRoomError, match="told something of its turn that is none"):
        seat_of(lambda turn: turn({"median_ms": "fast"})).hear(Block)
