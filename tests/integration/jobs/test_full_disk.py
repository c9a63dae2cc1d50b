"""A full disk, played by a small mount: told clearly, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench.shop import Shop, make_shop, wait_until
from core.base.errors import StoreFailed
from core.jobs.job import JobState

pytestmark = pytest.mark.usefixtures("forked")

SIZE_MB = 24


@contextmanager
def mounted(mount: Path) -> Iterator[None]:
    """A disk of 24 MB there."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(mount)]
    if (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    yield
    subprocess.run(["umount", "--lazy", str(mount)], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose workspace is on a small disk."""
    with mounted(tmp_path / "workspace"):
        made = make_shop(tmp_path)
        yield made
        made.close()


@pytest.fixture
def all_small(tmp_path: Path) -> Iterator[Shop]:
    """A shop that is on a small disk with everything: workers' logs, locks and temporary files too."""
    with mounted(tmp_path / "disk"):
        made = make_shop(tmp_path / "disk")
        yield made
        made.close()


def fill(shop: Shop) -> Path:
    """Takes the last byte."""
    filler = shop.workspace.root / "filler"
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


def test_an_artifact_that_does_not_fit_is_told_and_leaves_nothing(small: Shop) -> None:
    def make(folder: Path) -> None:
        (folder / "engine").write_bytes(bytes(SIZE_MB * 1_100_000))

    with pytest.raises(StoreFailed, match="No space left on device") as told:
        small.workspace.make_artifact("key", make)
    assert "engineroom gc" in told.value.hint
    assert list((small.workspace.root / "tmp").iterdir()) == []


def test_a_disk_that_fills_up_under_a_running_job_loses_nothing(small: Shop) -> None:
    small.start_worker()
    running = small.started(small.queue.submit(small.behave(1, "import time; time.sleep(1.5)")).job)
    waiting = small.queue.submit(small.request(2))
    filler = fill(small)
    wait_until(lambda: not small.stage_processes(), why=small.output)
    with suppress(StoreFailed):  # what still fits into the journal of the database is taken
        small.queue.submit(small.request(3))
    filler.unlink()
    ended = small.finished(running.id)
    if ended.state is JobState.FAILED:
        assert ended.error is not None
        assert ended.error.kind in ("StoreFailed", "StageCrashed")
        assert small.finished(small.queue.retry(running.id).job).state is JobState.DONE
    for job in small.queue.jobs():
        if job.id != ended.id:
            assert small.finished(job.id).state in (JobState.DONE, JobState.FAILED)
    assert waiting.job in {job.id for job in small.queue.jobs()}
    assert small.finished(small.queue.submit(small.request(4)).job).state is JobState.DONE
    assert not [entry for entry in small.journal() if entry["event"] == "doubled"]


def test_a_worker_outlives_a_full_disk_that_takes_not_even_its_words(all_small: Shop) -> None:
    """It starts over when its database cannot be written, has room for nothing then, and goes on when there is some."""
    worker = all_small.start_worker()
    running = all_small.started(all_small.queue.submit(all_small.behave(1, "import time; time.sleep(4)")).job)
    until = time.monotonic() + 8  # its lease is 2 s
    while time.monotonic() < until:
        filler = fill(all_small)
        assert worker.poll() is None, all_small.output()
        time.sleep(0.01)
    filler.unlink()
    (all_small.folder / "behaviour" / "1").write_text("")
    ended = all_small.finished(running.id)
    if ended.state is JobState.FAILED:
        assert ended.error is not None
        assert ended.error.kind in ("StoreFailed", "StageCrashed")
    assert worker.poll() is None
    assert all_small.finished(all_small.queue.submit(all_small.request(2)).job).state is JobState.DONE
    assert not [entry for entry in all_small.journal() if entry["event"] == "doubled"]
