"""Which workers have fallen silent, judged without anybody's time of day: that may jump. Their jobs are given away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.jobs.heartbeats import Heartbeats
from core.jobs.job import WORKFLOWS
from core.jobs.processes import boot_seconds


class Silence:
    """Watches heartbeats: a worker is as silent as its last one has been seen to stand still, by the watcher's own clock."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}

    def seconds(self, beats: Mapping[str, float], now: float) -> dict[str, float]:
        """How long each worker has been silent.

        Args:
            beats: Last heartbeats by worker, whatever clock they are of.
            now: Seconds of a clock that only goes forward.
        """
        before = self._seen
        self._seen = {
            worker: before[worker] if worker in before and before[worker][0] == beat else (beat, now)
            for worker, beat in beats.items()
        }
        return {worker: now - since for worker, (_, since) in self._seen.items()}


def give_away(dbos: Any, beats: Heartbeats, silence: Silence, *, worker: str, home: str, dead_after: float) -> set[str]:
    """Puts the jobs of workers that are gone back into their queues; who holds a running one.

    Args:
        worker: Who does this.
        home: What its own name begins with, and those of its past selves: whoever does this holds their lock.
        dead_after: Seconds of silence.
    """
    seen = beats.beats()
    for other, silent in silence.seconds(seen, boot_seconds()).items():
        own_past = other.startswith(f"{home}/") and other != worker
        if own_past or silent > dead_after:
            beats.remove(other, beat=None if own_past else seen[other])
    known = set(beats.beats())
    rows = dbos.list_workflows(name=list(WORKFLOWS), status="PENDING", load_input=False, load_output=False)
    holders = {row.executor_id for row in rows}
    if gone := sorted(holder for holder in holders - known if holder):
        # Internal but atomic: it moves a job only while that very worker still has it. See docs/decisions.
        dbos._recover_pending_workflows(gone)
    return holders
