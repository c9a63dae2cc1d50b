"""Which workers have fallen silent, judged without anybody's time of day: that may jump."""

from __future__ import annotations

from collections.abc import Mapping


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
