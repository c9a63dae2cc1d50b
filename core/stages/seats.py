"""Seats at a head-to-head: each engine runs in a thread's child, and waits there until it is told that it is its turn."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from pydantic import ValidationError

from core.base.children.call import Fetch
from core.base.errors import Cancelled, EngineRoomError, Failure
from core.base.serialization import from_data
from core.stages.child import Interrupted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gone:
    """A seat whose child has ended."""

    error: BaseException | None


class Seat(threading.Thread):
    """One engine's.

    Args:
        title: Of the engine, for errors.
        run: Runs its stage to its end; what the stage asks goes to the function that it is given.
    """

    def __init__(self, title: str, run: Callable[[Fetch], object]) -> None:
        super().__init__(name=f"seat-{title}", daemon=True)
        self._title, self._run = title, run
        self._told: SimpleQueue[Any] = SimpleQueue()
        self._asked: SimpleQueue[Any] = SimpleQueue()
        self._gone: Gone | None = None
        self._over = threading.Event()
        self._context = contextvars.copy_context()  # what stops the children of the caller's thread stops this one's too

    def run(self) -> None:
        try:
            self._context.run(self._run, self._turn)
        except BaseException as error:  # told in the caller's thread, whatever it is
            self._told.put(Gone(error))
        else:
            self._told.put(Gone(None))

    def _turn(self, told: Any) -> float | None:
        if self._over.is_set():
            return None  # however often it asks on
        self._told.put(told)
        seconds: float | None = self._asked.get()
        return seconds

    def hear(self, kind: type[T]) -> T:
        """What it tells next.

        Raises:
            EngineRoomError: Its engine failed, or told something else; or it was cancelled.
            Interrupted: Its worker was cut off.
        """
        told = self._gone or self._told.get()
        if isinstance(told, Gone):
            self._gone = told
            raise _as_told(self._title, told.error)
        try:
            return from_data(kind, told)
        except ValidationError as error:
            raise EngineRoomError(f"{self._title} told something of its turn that is none.", detail=str(error)) from error

    def ask(self, seconds: float) -> None:
        """Its turn begins."""
        self._asked.put(seconds)

    def dismiss(self) -> None:
        """It is over, whenever it asks next."""
        self._over.set()
        self._asked.put(None)

    def left(self) -> BaseException | None:
        """Waits for the end of its child; what the child ended with."""
        self.join()
        while self._gone is None:
            if isinstance(told := self._told.get(), Gone):
                self._gone = told
        return self._gone.error


def _as_told(title: str, error: BaseException | None) -> BaseException:
    if isinstance(error, Cancelled | Interrupted) or (error is not None and not isinstance(error, EngineRoomError)):
        return error
    if error is None:
        return EngineRoomError(f"{title} left the head-to-head before it was over.")
    hint = error.hint or "Run the head-to-head without it."
    return replace(Failure.of(error), message=f"{title} could not take part: {error.message}", hint=hint).to_error()
