"""A finished engine measured again by a real worker: progress, cancel, retry; and by `engineroom bench`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.shop import ROOT, Shop, make_shop, wait_until
from core.benchmark.measurement import Protocol
from core.jobs.device import parse_device, try_lock
from core.jobs.job import Answer, Job, JobKind, JobState
from core.stages.outcome import Outcome
from core.storage.builds import StageName, State

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, forked: None) -> Iterator[Shop]:
    made = make_shop(tmp_path_factory.mktemp("shop"))
    made.start_worker(fake=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def build(shop: Shop) -> Outcome:
    protocol = Protocol(min_seconds=1.0, warmup_seconds=0.0)
    job = shop.finished(shop.queue.submit(shop.request(protocol=protocol)).job)
    assert job.state is JobState.DONE, job.error
    return shop.queue.outcome(job.key)


def begun(shop: Shop, job: str | None) -> Job:
    """The job, once it measures."""

    def look() -> Job | None:
        found = shop.queue.job(job or "")
        assert not found.state.finished, found
        return found if found.progress and "Measuring" in found.progress.message else None

    return wait_until(look, why=shop.output)


def test_a_job_measures_it_and_nothing_else(shop: Shop, build: Outcome) -> None:
    submitted = shop.queue.measure(build.build.key[:12])
    assert (submitted.answer, submitted.note) == (Answer.QUEUED, "")
    assert shop.queue.measure(build.build.key).answer is Answer.JOINED
    going = begun(shop, submitted.job)
    assert (going.kind, going.measures_again, going.device) == (JobKind.RUN, True, "cpu")
    assert [record.stage for record in going.stages] == [StageName.MEASURE]
    assert " of 3: Measuring" in (going.progress.message if going.progress else "")
    done = shop.finished(submitted.job)
    assert done.state is JobState.DONE
    after = shop.queue.outcome(build.build.key)
    assert after.measurement is not None
    assert after.measurement != build.measurement
    assert (after.parity, after.graph, after.built) == (build.parity, build.graph, build.built)
    assert after.build.stages[:-1] == build.build.stages[:-1]
    assert after.build.stages[-1].state is State.DONE
    assert after.build.run is None


def test_cancelled_the_old_figure_stays_and_a_retry_takes_another(shop: Shop, build: Outcome) -> None:
    before = shop.queue.outcome(build.build.key)
    job = shop.queue.measure(build.build.key).job
    begun(shop, job)
    assert shop.queue.cancel(job or "").state is JobState.CANCELLED
    wait_until(lambda: all(worker.job is None for worker in shop.queue.workers()), why=shop.output)
    assert shop.queue.outcome(build.build.key) == before
    retried = shop.queue.retry(job or "")
    assert shop.queue.job(retried.job or "").measures_again
    assert shop.finished(retried.job).state is JobState.DONE
    assert shop.queue.outcome(build.build.key).measurement != before.measurement


def test_a_rebuild_that_is_asked_for_meanwhile_is_not_swallowed(shop: Shop, build: Outcome) -> None:
    again = shop.queue.measure(build.build.key)
    rebuild = shop.queue.submit(build.build.request, force=True)
    assert rebuild.answer is Answer.QUEUED
    assert rebuild.job != again.job
    assert shop.finished(again.job).state is JobState.DONE
    assert shop.finished(rebuild.job).state is JobState.DONE
    assert shop.queue.job(rebuild.job or "").kind is JobKind.BUILD


def bench(shop: Shop, build: Outcome, folder: Path, *, repeats: int = 2) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "ENGINEROOM_WORKSPACE": str(shop.workspace.root),
        "TMPDIR": str(folder),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "core.cli", "bench", build.build.key, "--repeats", str(repeats)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_bench_waits_for_the_device(shop: Shop, build: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    lock = try_lock(parse_device("cpu").lock_file)
    assert lock is not None
    with bench(shop, build, tmp_path) as process:
        try:
            assert process.stderr is not None
            assert "waiting for the device" in process.stderr.readline()
        finally:
            os.close(lock)  # or every later command of this process would wait
        told, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems
    assert "the middle one of 2" in told


def test_a_bench_that_is_stopped_keeps_the_old_figure(shop: Shop, build: Outcome, tmp_path: Path) -> None:
    before = shop.queue.outcome(build.build.key)
    with bench(shop, build, tmp_path, repeats=5) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "2 of 5: Measuring" in line:
                break
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert (process.returncode, "Measuring was stopped." in told) == (9, True), told
    assert shop.queue.outcome(build.build.key) == before
