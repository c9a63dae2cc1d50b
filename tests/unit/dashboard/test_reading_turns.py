"""Whose turn it is to be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dashboard import reading_turns
from dashboard.reading_turns import MOST_LATE, Turns


class Reader(threading.Thread):
    """Reads until it is told to end, once it has its turn."""

    def __init__(self, turns: Turns) -> None:
        super().__init__(daemon=True)
        self._turns, self.words = turns, ""
        self.reading, self.end, self.cancelled = threading.Event(), threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        try:
            with self._turns.one(self._look):
                self.reading.set()
                self.end.wait(30)
        except KeyError:
            return

    def _look(self, words: str) -> None:
        self.words = words
        if self.cancelled.is_set():
            raise KeyError


@pytest.fixture
def reader() -> Iterator[Callable[[Turns], Reader]]:
    with ExitStack() as stack:

        def start(turns: Turns) -> Reader:
            made = Reader(turns)
            stack.callback(made.join, 10)
            stack.callback(made.end.set)
            stack.callback(made.cancelled.set)
            return made

        yield start


def wait_until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_others_wait_in_the_order_of_coming_and_are_told(reader: Callable[[Turns], Reader]) -> None:
    turns = Turns(2)
    first, second = reader(turns), reader(turns)
    wait_until(lambda: first.reading.is_set() and second.reading.is_set())
    third = reader(turns)
    wait_until(lambda: third.words == "Waiting for a reader: 2 are at work")
    fourth = reader(turns)
    wait_until(lambda: fourth.words == "Waiting for a reader: 2 are at work, 1 upload before it")
    fifth = reader(turns)
    wait_until(lambda: "2 uploads before it" in fifth.words)
    third.cancelled.set()
    wait_until(lambda: "1 upload before it" in fifth.words)
    first.end.set()
    wait_until(fourth.reading.is_set)
    assert not fifth.reading.is_set()
    second.end.set()
    wait_until(fifth.reading.is_set)
    assert not third.reading.is_set()


def test_those_that_take_long_let_others_past_up_to_a_cap(
    reader: Callable[[Turns], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two uploads that hold their readers up until their limit do."""
    monkeypatch.setattr(reading_turns, "PATIENCE_SECONDS", 0.3)
    turns = Turns(2)
    hanging = [reader(turns) for _ in range(2)]
    wait_until(lambda: all(one.reading.is_set() for one in hanging))
    honest = reader(turns)
    assert not honest.reading.wait(0.1)
    wait_until(honest.reading.is_set)
    honest.end.set()
    hanging += [reader(turns) for _ in range(MOST_LATE)]
    wait_until(lambda: all(one.reading.is_set() for one in hanging))
    last = reader(turns)
    assert not last.reading.wait(1), "beyond the cap they hold others up"
    hanging[0].end.set()
    wait_until(last.reading.is_set)
