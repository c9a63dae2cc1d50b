"""What a worker and a dashboard do when what they rest on goes away: a worker, its database, the code under it."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from bench.shop import ROOT, Shop, make_shop, wait_until
from core.base.errors import StoreFailed
from core.base.serialization import read_json
from core.jobs import local
from core.jobs.device import Device
from core.jobs.job import Job, JobState
from core.jobs.local import is_outdated, is_running, let_go_of_ended, retire_outdated, worker_log
from core.jobs.start import worker_lock_file
from core.storage.builds import BUILD_FILE, Build, State
from core.storage.store import Store
from dashboard import local_workers

pytestmark = pytest.mark.usefixtures("forked")


def alive(shop: Shop) -> list[int]:
    with suppress(StoreFailed):
        return [worker.card.pid for worker in shop.queue.workers() if worker.alive]
    return []


def database_of(shop: Shop) -> Path:
    return shop.workspace.root / "jobs.sqlite"


@pytest.mark.parametrize("damage", ["deleted", "rubbish"])
def test_a_database_that_is_deleted_or_overwritten_under_a_worker(shop: Shop, damage: str) -> None:
    """What was queued is lost with it; the worker goes on, and what comes next is built."""
    worker = shop.start_worker()
    wait_until(lambda: "takes cpu jobs" in shop.output(), why=shop.output)
    assert shop.finished(shop.queue.submit(shop.request(1)).job).state is JobState.DONE
    if damage == "rubbish":  # in the place of the file, as a restored backup would be
        rubbish = shop.workspace.root / "rubbish"
        rubbish.write_bytes(os.urandom(300_000))
        rubbish.replace(database_of(shop))
    else:
        database_of(shop).unlink()
    for suffix in ("-wal", "-shm"):
        database_of(shop).with_name(f"jobs.sqlite{suffix}").unlink(missing_ok=True)
    wait_until(lambda: worker.pid in alive(shop), why=shop.output)  # it started over in the same process
    assert shop.finished(shop.queue.submit(shop.request(2)).job).state is JobState.DONE
    assert "The job database was deleted or replaced. Starting over." in (shop.folder / "worker-0.log").read_text()
    assert len(list(shop.workspace.root.glob("jobs.sqlite.damaged-*"))) == (damage == "rubbish")
    with sqlite3.connect(database_of(shop)) as connection:
        assert connection.execute("select count(*) from engineroom_workers").fetchone() == (1,)


def test_a_worker_that_starts_over_waits_with_its_own_lock(shop: Shop) -> None:
    """The database cannot be had for a while when it starts over: it is not kept out by the lock that it holds itself."""
    worker = shop.start_worker()
    wait_until(lambda: "takes cpu jobs" in shop.output(), why=shop.output)
    log = shop.folder / "worker-0.log"
    database, away = database_of(shop), shop.workspace.root / "away"
    database.replace(away)
    database.mkdir()  # nothing can be opened there
    wait_until(lambda: log.read_text().count("Trying again in 5 s.") >= 2, why=shop.output)
    assert worker.poll() is None
    assert "is running here already" not in log.read_text()
    database.rmdir()
    away.replace(database)
    wait_until(lambda: worker.pid in alive(shop), why=shop.output)
    assert shop.finished(shop.queue.submit(shop.request(3)).job).state is JobState.DONE


def test_a_job_never_runs_without_a_worker(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.listing.DEAD_AFTER_SECONDS", 1.0)
    worker = shop.start_worker()
    job = shop.started(shop.queue.submit(shop.behave(1, "import time; time.sleep(60)")).job)
    assert job.state is JobState.RUNNING
    worker.kill()
    worker.wait()

    def waits() -> Job | None:
        found = shop.queue.job(job.id)
        return found if found.state is JobState.QUEUED else None

    found = wait_until(waits, why=shop.output)
    assert found.waits_for == "another worker, as the one that had it is gone"
    assert found.progress is None
    assert [one.id for one in shop.queue.jobs(states=(JobState.QUEUED,))] == [job.id]
    assert shop.queue.jobs(states=(JobState.RUNNING,)) == []
    (shop.folder / "behaviour" / "1").write_text("")
    shop.start_worker()
    assert shop.finished(job.id).state is JobState.DONE


def test_a_worker_of_other_code_ends_after_its_job(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = shop.start_worker()
    (known,) = shop.queue.workers()
    assert not is_outdated(known)
    assert retire_outdated([known]) == []
    job = shop.started(shop.queue.submit(shop.behave(1, "import time; time.sleep(2)")).job)
    monkeypatch.setattr(local, "code_stamp", lambda: "another")
    assert [one.card.pid for one in retire_outdated(shop.queue.workers())] == [worker.pid]
    assert shop.finished(job.id).state is JobState.DONE
    assert worker.wait(20) == 0
    assert "ends: another version of the program is to take its place." in shop.output()


def test_a_worker_that_is_told_to_stop_says_so(shop: Shop) -> None:
    worker = shop.start_worker()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert "ends: it was told to (SIGTERM)." in shop.output()


def test_the_dashboard_starts_another_worker(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(shop.folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(local_workers, "LOOK_SECONDS", 0.2)
    over = threading.Event()
    keeper = local_workers.start_workers(shop.workspace, ["cpu"], over)
    try:
        first = wait_until(lambda: alive(shop), why=lambda: worker_log(shop.workspace).read_text())[0]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: [pid for pid in alive(shop) if pid != first], why=lambda: worker_log(shop.workspace).read_text())
    finally:
        over.set()
        keeper.join()
        for pid in alive(shop):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_running(worker_lock_file(shop.workspace, Device("cpu"))) and not let_go_of_ended())


def test_pauses_grow_between_workers_that_do_not_live(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    now = [1000.0]
    monkeypatch.setattr(local_workers.time, "monotonic", lambda: now[0])
    started: list[float] = []

    def start(*_: object, **__: object) -> bool:
        started.append(now[0])
        return True

    monkeypatch.setattr(local_workers, "ensure_local_worker", start)
    keeper = local_workers._Keeper(shop.workspace, "cpu")
    while now[0] < 1000 + 3600:
        keeper.look()
        now[0] += 1.0
    pauses = [after - before for before, after in pairwise(started)]
    assert pauses[:4] == [1.0, 10.0, 20.0, 40.0]
    assert pauses[-1] == 600.0


def test_a_store_that_is_gone_at_the_very_end_has_everything_when_the_job_is_tried_again(tmp_path: Path) -> None:
    """The build is done on its host by then; others would see it unfinished for ever."""
    store = tmp_path / "store"
    shop = make_shop(tmp_path, store=str(store), database=f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    try:
        shop.start_worker(workspace=tmp_path / "another-host")
        gone = f"import os; os.rename({str(store)!r}, {str(store) + '-away'!r}); open({str(store)!r}, 'w')"
        failed = shop.finished(shop.queue.submit(shop.behave(1, gone, stage="measure")).job)
        assert failed.state is JobState.FAILED
        assert failed.error is not None
        assert failed.error.message.startswith(f"The store {store} failed: ")
        store.unlink()
        store.with_name("store-away").rename(store)
        again = shop.finished(shop.queue.retry(failed.id).job)
        assert again.state is JobState.DONE
        assert Store(str(store)).pull_build(shop.workspace, again.key)
        assert read_json(Build, shop.workspace.build_folder(again.key) / BUILD_FILE).state is State.DONE
    finally:
        shop.close()
