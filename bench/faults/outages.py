"""Postgres and an S3 bucket that are gone for a minute while jobs are queued, fetched, run and shared."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bench.faults.house import LEASE_SECONDS, House, house, seconds_until, seeded_model
from bench.faults.kills import Watch
from bench.faults.tally import Options, Tally, Tell
from bench.postgres import Server, cluster, find_programs
from core.base.errors import EngineRoomError
from core.intake.take_in import take_in
from core.jobs.job import Job, JobState
from core.jobs.queue import Queue

BUCKET = "engines"
AWS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
DONE_SECONDS = 300.0
MOMENTS = {"before it is fetched": 0.0, "while it is fetched": 0.4, "in its first stages": 3.0, "in its last stages": 6.0}


class Bucket:
    """moto's server on 127.0.0.1, which can be gone for a while; what is in the bucket stays."""

    def __init__(self) -> None:
        self._port = 0
        self.start()
        os.environ.update(AWS, AWS_ENDPOINT_URL=f"http://127.0.0.1:{self._port}")
        import fsspec

        fsspec.filesystem("s3").mkdir(BUCKET)

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server: Any = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()
        self._port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()


def try_all(options: Options, tell: Tell) -> None:
    programs = find_programs()
    if programs is None:
        tell(Tally("not tried: no Postgres server is installed (Debian: apt-get install postgresql)"))
        return
    bucket = Bucket()
    try:
        with cluster(programs) as server, house(database=server.url, store=f"s3://{BUCKET}/faults") as made:
            trials = Trials(made, server, bucket, options)
            made.start_worker(wait=True, workspace=made.folder / "models-of-another-host")
            trials.run(tell)
    finally:
        bucket.stop()


class Trials:
    def __init__(self, made: House, server: Server, bucket: Bucket, options: Options) -> None:
        self._house, self._server, self._bucket, self._options = made, server, bucket, options
        self._seed = 0

    def run(self, tell: Tell) -> None:
        watch = Watch(self._house)
        watch.start()
        for words, wait in MOMENTS.items():
            tell(self._meets(f"Postgres is gone, from a moment {words} on", wait, self._postgres_gone, lasts=True))
        for words, wait in MOMENTS.items():
            tell(self._meets(f"the store is gone, from a moment {words} on", wait, self._store_gone, lasts=False))
        tell(self._asks("Postgres", self._postgres_gone))
        tell(self._asks("the store", self._store_gone))
        watch.over.set()
        watch.join()
        doubled = Tally("no two stages at once on the device")
        doubled.tries, doubled.broke = watch.looks, watch.doubled
        tell(doubled)
        self._house.stop()
        left = Tally("afterwards no process, no partial work, no lock is left")
        for name in (*self._house.left_behind(), *self._house.orphans().values()):
            left.hold(False, name)
        left.hold(not (torn := self._house.torn()), f"{torn}")
        tell(left)

    def _send(self, queue: Queue) -> str:
        """A build of a model like no other, so that all of it has to be fetched, made and shared."""
        self._seed += 1
        shop = self._house.shop
        model = take_in(seeded_model(self._house.folder / "tiny.onnx", self._seed), shop.workspace)
        return queue.submit(shop.request(self._seed, model=model.digest)).job or ""

    def _meets(self, words: str, wait: float, gone: Callable[[], Any], *, lasts: bool) -> Tally:
        """Two jobs, one of them at work: both are done afterwards, or failed in words and are done when tried again."""
        tally = Tally(f"{words}: jobs wait, or end in words, and are done afterwards, whole")
        made, queue = self._house, self._house.shop.queue
        for _ in range(self._options.tries):
            jobs = [self._send(queue), self._send(queue)]
            seconds_until(lambda jobs=jobs: queue.job(jobs[0]).state is JobState.RUNNING, limit=60)  # type: ignore[misc]
            time.sleep(wait)
            met = time.monotonic()
            with gone():
                time.sleep(min(LEASE_SECONDS + 5, self._options.outage_seconds))
                if lasts and (stage := made.stage()):
                    tally.broke.append(f"a stage goes on without a lease: process {stage}")
                told = None if lasts else self._told(jobs[0], met)
                time.sleep(max(0.0, self._options.outage_seconds - (time.monotonic() - met)))
            for job in jobs:
                found = self._end(job)
                if found.state is JobState.FAILED:
                    said = found.error.message if found.error else ""
                    tally.hold("The store s3://" in said, f"job {job} says {said!r}", told)
                    found = self._end(queue.retry(job).job or "")
                else:
                    tally.hold(found.state is JobState.DONE, f"job {job} is {found.state}: {made.shop.output()}")
                self._is_whole(tally, found)
            if made.worker is None or made.worker.poll() is not None:
                tally.broke.append(f"the worker ended: {made.shop.output()[-600:]}")
                made.start_worker(wait=True, workspace=made.folder / "models-of-another-host")
        return tally

    def _is_whole(self, tally: Tally, job: Job) -> None:
        """As another host sees it."""
        try:
            outcome = self._house.shop.queue.outcome(job.key)
            self._house.shop.queue.bring_artifacts(job.key)
        except EngineRoomError as error:
            tally.broke.append(f"build {job.key[:12]} of job {job.id}: {error}")
            return
        artifact = outcome.built and self._house.shop.workspace.artifact(outcome.built.artifact)
        if not artifact or outcome.measurement is None or outcome.build.state.value != "done":
            tally.broke.append(f"build {job.key[:12]} of job {job.id}: {outcome.build.state}, {artifact}, {outcome.measurement}")

    def _told(self, job: str, since: float) -> float | None:
        """Seconds until the job had ended."""
        queue = self._house.shop.queue
        left = self._options.outage_seconds - (time.monotonic() - since)
        ended = seconds_until(lambda: queue.job(job).state.finished, limit=max(0.0, left), every=0.2)
        return None if ended is None else time.monotonic() - since

    def _end(self, job: str) -> Job:
        """The job at its end; the database may be just back."""
        queue = self._house.shop.queue

        def ended() -> bool:
            with suppress(EngineRoomError):
                return queue.job(job).state.finished
            return False

        if seconds_until(ended, limit=DONE_SECONDS, every=0.2) is None:
            raise AssertionError(f"job {job} has no end: {queue.job(job)}\n{self._house.shop.output()}")
        return queue.job(job)

    def _asks(self, what: str, gone: Callable[[], Any]) -> Tally:
        """Who queues and looks meanwhile is told."""
        tally = Tally(f"{what} is gone: who queues a build, lists jobs or looks at a build is told in words, or gets it")
        queue = self._house.shop.queue
        done = next(job for job in queue.jobs() if job.state is JobState.DONE)
        for _ in range(self._options.tries):
            asks: list[Callable[[], object]] = [
                lambda: self._send(queue),
                queue.jobs,
                queue.workers,
                lambda: queue.outcome(done.key),
                lambda: queue.log(done.id),
            ]
            with gone():
                for ask in asks:
                    asked = time.monotonic()
                    try:
                        ask()
                        tally.hold(True, "")
                    except EngineRoomError as error:
                        tally.hold("failed" in error.message and bool(error.hint), f"{error}", time.monotonic() - asked)
                    except Exception as error:
                        tally.hold(False, f"{type(error).__name__}: {error}", time.monotonic() - asked)
            for ask in asks:
                back = seconds_until(lambda ask=ask: _works(ask), limit=30)  # type: ignore[misc]
                if back is None:
                    tally.broke.append(f"{what} is back, and something still fails")
        for job in queue.jobs(limit=1000):
            self._end(job.id)
        return tally

    @contextmanager
    def _postgres_gone(self) -> Iterator[None]:
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()

    @contextmanager
    def _store_gone(self) -> Iterator[None]:
        self._bucket.stop()
        try:
            yield
        finally:
            self._bucket.start()


def _works(ask: Callable[[], object]) -> bool:
    with suppress(EngineRoomError):
        ask()
        return True
    return False
