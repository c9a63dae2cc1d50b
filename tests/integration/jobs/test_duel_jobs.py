"""Head-to-heads as jobs of a real worker, with real engines."""

from __future__ import annotations

import pytest

from bench.shop import Shop, wait_until
from core.benchmark.duel import DuelProtocol
from core.jobs.job import Answer, Job, JobKind, JobState
from core.storage.builds import State
from core.storage.duels import all_duels, stored_duel

pytestmark = pytest.mark.usefixtures("forked")
SHORT = DuelProtocol(block_seconds=0.002, rounds=5, starts=1)


def test_a_sweep_is_settled_by_itself_and_a_head_to_head_is_a_job_like_others(shop: Shop) -> None:
    shop.start_worker(fake=False)
    requests = [shop.request(0), shop.request(1)]
    built = [shop.finished(answer.job, seconds=120) for answer in shop.queue.submit_all(requests, settle=True)]
    assert [job.state for job in built] == [JobState.DONE, JobState.DONE], built
    keys = [job.key for job in built]

    def duel_job() -> Job | None:
        return next((job for job in shop.queue.jobs() if job.kind is JobKind.DUEL), None)

    def going() -> bool:
        held = all_duels(shop.workspace)
        return bool(held and held[0].starts)

    job = wait_until(duel_job)  # nobody asked for it but the sweep
    assert job.duel is not None
    assert set(job.duel.keys) == set(keys) == set(job.builds)
    wait_until(going, seconds=60)
    running = shop.queue.job(job.id)
    assert running.state is JobState.RUNNING
    assert running.progress is not None
    assert "of at most 20" in running.progress.message
    shop.queue.cancel(job.id)
    cancelled = shop.finished(job.id)
    assert cancelled.state is JobState.CANCELLED
    wait_until(lambda: all_duels(shop.workspace)[0].state is State.CANCELLED)
    assert cancelled.can_retry
    again = shop.queue.retry(job.id)
    assert again.key == job.key
    shop.queue.cancel(again.job or "")

    asked = shop.queue.duel(keys, SHORT)
    assert asked.answer is Answer.QUEUED
    done = shop.finished(asked.job, seconds=120)
    assert done.state is JobState.DONE, done.error
    assert [record.state for record in done.stages] == [State.DONE]
    found = stored_duel(shop.workspace, asked.key)
    assert found is not None
    assert len(found.starts) == SHORT.starts
    assert found.place is not None
    assert found.place.device == "cpu:0"
    assert shop.queue.duel(keys, SHORT) == type(asked)(key=asked.key, answer=Answer.STORED, job=asked.job)
    forced = shop.queue.duel(keys, SHORT, force=True)
    assert forced.answer is Answer.QUEUED
    anew = shop.finished(forced.job, seconds=120)
    assert anew.state is JobState.DONE
    held_again = stored_duel(shop.workspace, asked.key)
    assert held_again is not None
    assert held_again.starts != found.starts


def test_a_sweep_is_settled_when_its_last_build_is_cancelled_while_no_worker_is_at_it(shop: Shop) -> None:
    worker = shop.start_worker()
    requests = [shop.request(0), shop.request(1), shop.behave(2, "import time; time.sleep(600)")]
    answers = shop.queue.submit_all(requests, settle=True)
    for answer in answers[:2]:
        assert shop.finished(answer.job).state is JobState.DONE
    wait_until(lambda: shop.queue.job(answers[2].job or "").state is JobState.RUNNING)
    worker.terminate()
    worker.wait()
    assert JobKind.DUEL not in {job.kind for job in shop.queue.jobs()}

    shop.queue.cancel(answers[2].job or "")

    (job,) = [job for job in shop.queue.jobs() if job.kind is JobKind.DUEL]
    assert job.duel is not None
    assert set(job.duel.keys) == {answer.key for answer in answers[:2]}
