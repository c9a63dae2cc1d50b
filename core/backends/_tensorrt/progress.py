"""Progress and cancelling of a build: from `IProgressMonitor` since version 10, from the log before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from core.backends._tensorrt.log import Log
from core.base.errors import Cancelled
from core.base.progress import Progress, Report

T = TypeVar("T")
_POLL_SECONDS = 0.2


class Phases:
    """The builder's phases within each other, as one fraction: each step of a phase is an equal share of it."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str | None, int, int]] = {}

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._open[name] = (parent, max(1, steps), 0)

    def step(self, name: str, step: int) -> None:
        if name in self._open:
            parent, steps, _ = self._open[name]
            self._open[name] = (parent, steps, min(step + 1, steps))

    def finish(self, name: str) -> None:
        self._open.pop(name, None)

    @property
    def fraction(self) -> float | None:
        """Of the outermost phase that is open, with the phases inside its current step counted in."""
        outer = next((name for name, (parent, _, _) in self._open.items() if parent not in self._open), None)
        return None if outer is None else min(0.99, self._done(outer))

    def _done(self, name: str) -> float:
        _, steps, done = self._open[name]
        inner = max((self._done(child) for child, (parent, _, _) in self._open.items() if parent == name), default=0.0)
        return min(1.0, (done + inner) / steps)


class Watch:
    """What the build tells while it runs, from its own threads, and whether somebody wants it to stop."""

    def __init__(self) -> None:
        self.phases = Phases()
        self.phase = ""
        self.stopped = threading.Event()

    def monitor(self, trt: Any) -> Any:
        """An `IProgressMonitor` that feeds this watch and ends the build once it is stopped."""
        watch = self

        class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)

            def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
                watch.phase = phase_name
                watch.phases.start(phase_name, parent_phase, num_steps)

            def step_complete(self, phase_name: str, step: int) -> bool:
                watch.phases.step(phase_name, step)
                return not watch.stopped.is_set()

            def phase_finish(self, phase_name: str) -> None:
                watch.phases.finish(phase_name)

        return Monitor()


def watched(work: Callable[[], T], watch: Watch, log: Log, report: Report, *, can_stop: bool) -> T:
    """Runs a build in a thread of its own and tells where it is; a `report` that raises ends it.

    Args:
        can_stop: The version has `IProgressMonitor`, so that a stopped build comes to an end by itself. Before, native code
            cannot be interrupted: the build is left to the end of its process, which stages have one of.

    Raises:
        BaseException: What `work` or `report` raised.
    """
    answer: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(work())
        except BaseException as error:  # handed over to the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="tensorrt-build", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            report(_progress(watch, log))
            thread.join(_POLL_SECONDS)
    except BaseException:
        watch.stopped.set()
        if can_stop:
            thread.join()
        raise
    if failed:
        raise failed[0]
    if watch.stopped.is_set():
        raise Cancelled("The build was cancelled.")
    return answer[0]


def _progress(watch: Watch, log: Log) -> Progress:
    fraction = watch.phases.fraction
    if fraction is not None:
        return Progress(message=f"Building: {watch.phase}", fraction=fraction)
    if log.fraction is not None:
        return Progress(message=f"Timing kernels: {log.timed} of {log.layers} layers", fraction=log.fraction)
    return Progress(message="Optimizing the graph")
