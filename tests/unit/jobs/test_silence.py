"""Who is dead is judged by heartbeats that stand still, whatever the clocks say."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.jobs import heartbeats
from core.jobs.heartbeats import Heartbeats
from core.jobs.job import WorkerCard
from core.jobs.silence import Silence

CARD = WorkerCard(id="here/cpu:0/1", host="here", pid=1, device="cpu:0", device_type="cpu", device_name="a processor")


def test_a_heartbeat_that_stands_still_is_silent_since_it_was_first_seen() -> None:
    silence = Silence()
    assert silence.seconds({"a": 1000.0, "b": 5.0}, now=10.0) == {"a": 0.0, "b": 0.0}
    assert silence.seconds({"a": 1002.0, "b": 5.0}, now=12.0) == {"a": 0.0, "b": 2.0}
    # The clock of the heartbeats jumps: ahead for one, back for the other.
    assert silence.seconds({"a": 4600.0, "b": -3595.0}, now=14.0) == {"a": 0.0, "b": 0.0}
    assert silence.seconds({"a": 4600.0}, now=40.0) == {"a": 26.0}
    assert silence.seconds({"a": 4600.0, "b": -3595.0}, now=41.0) == {"a": 27.0, "b": 0.0}


def test_a_row_is_removed_only_while_its_heartbeat_is_the_one_that_was_seen(tmp_path: Path) -> None:
    beats = Heartbeats(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    beats.join(CARD)
    seen = beats.beats()[CARD.id]
    assert beats.beat(CARD.id, None)
    assert beats.beats()[CARD.id] > seen
    assert not beats.remove(CARD.id, beat=seen)
    assert beats.remove(CARD.id, beat=beats.beats()[CARD.id])
    assert beats.beats() == {}
    beats.close()


def test_the_time_of_day_does_not_matter_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = Heartbeats(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    monkeypatch.setattr(heartbeats, "boot_seconds", lambda: 5000.0)
    beats.join(CARD)
    monkeypatch.setattr(heartbeats, "boot_seconds", lambda: 5003.0)
    (worker,) = beats.workers(20.0)
    assert (worker.alive, worker.beat_age_seconds) == (True, 3.0)
    monkeypatch.setattr(heartbeats, "boot_seconds", lambda: 5030.0)
    assert [one.alive for one in beats.workers(20.0)] == [False]
    monkeypatch.setattr(heartbeats, "boot_seconds", lambda: 100.0)  # the host was started again
    assert [one.alive for one in beats.workers(20.0)] == [False]
    beats.close()
