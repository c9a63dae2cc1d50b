"""Hosts that freeze for longer than their lease, and clocks that are set ahead and back while jobs run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from bench.faults.house import seconds_until
from bench.faults.tally import Options, Tally, Tell
from bench.shop import Shop, make_shop
from core.jobs.job import Job, JobState
from core.jobs.processes import descendants

CLOCK = "FAULTS_CLOCK"  # see clock.c
LEASE_SECONDS = 4.0  # after twice that a job is given away
GIVEN_AWAY_SECONDS = 60.0  # at most, on a busy machine
HOUR, YEAR = 3600, 365 * 86400
JUMPS = {"an hour ahead": HOUR, "an hour back": -HOUR, "ten years ahead": 10 * YEAR, "ten years back": -10 * YEAR}


def try_all(options: Options, tell: Tell) -> None:
    """In a process whose time of day can be set, and that of all that it starts."""
    compiler = shutil.which("cc")
    if compiler is None:
        tell(Tally("not tried: a clock that can be set needs a C compiler"))
        return
    with tempfile.TemporaryDirectory(prefix="faults-clock-") as folder:
        library, ahead = Path(folder) / "clock.so", Path(folder) / "ahead"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        ahead.write_bytes(bytes(8))
        environment = {**os.environ, "LD_PRELOAD": str(library), CLOCK: str(ahead)}
        command = [sys.executable, "-m", "bench.faults.clocks", json.dumps(asdict(options))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as inside:
            for line in inside.stdout or ():
                tell(Tally(**json.loads(line)))
    if inside.returncode:
        tell(Tally("the group itself", tries=1, broke=[f"it ended with {inside.returncode}"]))


class Trials:
    def __init__(self, shop: Shop, options: Options) -> None:
        self._shop, self._tries, self._seed = shop, options.tries, 0
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        for words, seconds in JUMPS.items():
            self._tell(self._jumps(words, seconds))
        for words, seconds in {"": 0, **JUMPS}.items():
            self._tell(self._is_killed(words, seconds))
        for words, seconds in {"": 0, "an hour ahead": HOUR, "an hour back": -HOUR}.items():
            self._tell(self._freezes(words, seconds))
        self._tell(self._freezes_alone())

    def _tell(self, tally: Tally) -> None:
        _set_clock(0)
        print(json.dumps(asdict(tally)), flush=True)

    def _jumps(self, words: str, seconds: int) -> Tally:
        tally = Tally(f"the clock is set {words} while a job runs and another waits: both end once, where they were")
        for _ in range(self._tries):
            self._both()
            job = self._begun("import time; time.sleep(6)")
            waiting = self._shop.queue.submit(self._shop.request(self._next())).job
            workers = self._alive()
            time.sleep(1)
            _set_clock(seconds)
            done = self._shop.finished(job.id, seconds=120)
            also = self._shop.finished(waiting, seconds=120)
            took = (done.finished_at or 0) - (done.started_at or 0)
            right = done.state is also.state is JobState.DONE and done.attempt == job.attempt and done.worker == job.worker
            tally.hold(right, f"{done.state} by {done.worker} at attempt {done.attempt}, {also.state}: {self._shop.output()}")
            if not 0 < took < 100:
                tally.broke.append(f"the job is said to have taken {took:.0f} s")
            after = seconds_until(lambda workers=workers: self._alive() == workers, limit=20)  # type: ignore[misc]
            if after is None:
                tally.broke.append(f"workers were {workers} and are {self._alive()}")
            tally.seconds += [after] if after is not None else []
            self._nothing_twice(tally)
            _set_clock(0)
        return tally

    def _is_killed(self, words: str, seconds: int) -> Tally:
        when = f", and the clock set {words}" if words else ""
        tally = Tally(f"a worker is killed{when}: another has its job, and it never seems to run meanwhile")
        for _ in range(self._tries):
            self._both()
            job = self._begun("import time; time.sleep(600)")
            self._shop.behave(self._seed, "")
            killed = time.monotonic()
            holder = self._holder(job)
            holder.kill()
            holder.wait()
            _set_clock(seconds)
            shown = seconds_until(lambda job=job: self._elsewhere(job), limit=GIVEN_AWAY_SECONDS)  # type: ignore[misc]
            done = self._shop.finished(job.id, seconds=120)
            right = shown is not None and done.state is JobState.DONE and done.worker != job.worker
            tally.hold(right, f"{done.state} by {done.worker}; not shown to run nowhere", time.monotonic() - killed)
            self._nothing_twice(tally)
            _set_clock(0)
        return tally

    def _freezes(self, words: str, seconds: int) -> Tally:
        slept = f"sleeps, wakes with its clock {words}" if words else "freezes for longer than its lease, and wakes"
        tally = Tally(f"a host {slept}: its job ended elsewhere, its own stage is gone at once")
        for _ in range(self._tries):
            self._both()
            job = self._begun("import time; time.sleep(600)")
            self._shop.behave(self._seed, "import time; time.sleep(1)")
            holder = self._holder(job)
            tree = [holder.pid, *descendants(holder.pid)]
            self._shop.freeze(holder)
            _signal(tree, signal.SIGSTOP)
            done = self._shop.finished(job.id, seconds=120)
            _set_clock(seconds)
            _signal(tree, signal.SIGCONT)
            gone = seconds_until(lambda tree=tree: not any(_lives(pid) for pid in tree[1:]), limit=20)  # type: ignore[misc]
            ended = [e for e in self._shop.journal() if (e["event"], e.get("key"), e.get("stage")) == ("end", job.key, "build")]
            right = gone is not None and done.state is JobState.DONE and done.worker != job.worker and len(ended) == 1
            tally.hold(right, f"{done.state} by {done.worker}, ended {len(ended)} times, own stage gone: {gone}", gone)
            back = seconds_until(lambda holder=holder: self._has_joined(holder.pid), limit=60)  # type: ignore[misc]
            if back is None:
                tally.broke.append(f"the worker that woke up is not back: {self._shop.output()}")
            _set_clock(0)
        return tally

    def _freezes_alone(self) -> Tally:
        tally = Tally("the only host freezes for longer than its lease, and wakes: its job is done, once")
        for _ in range(self._tries):
            self._both()
            self._workers.pop("cpu:2").kill()
            job = self._begun("import time; time.sleep(6)")
            holder = self._holder(job)
            tree = [holder.pid, *descendants(holder.pid)]
            self._shop.freeze(holder)
            _signal(tree, signal.SIGSTOP)
            time.sleep(3 * LEASE_SECONDS)
            _signal(tree, signal.SIGCONT)
            woke = time.monotonic()
            done = self._shop.finished(job.id, seconds=120)
            ended = [e for e in self._shop.journal() if (e["event"], e.get("key"), e.get("stage")) == ("end", job.key, "build")]
            tally.hold(
                done.state is JobState.DONE and len(ended) == 1, f"{done.state}, {len(ended)} ends", time.monotonic() - woke
            )
        return tally

    def _both(self) -> None:
        """Two workers for one type of device, both idle."""
        for device in ("cpu:1", "cpu:2"):
            if device not in self._workers or self._workers[device].poll() is not None:
                self._workers[device] = self._shop.start_worker(device, lease=LEASE_SECONDS)

    def _next(self) -> int:
        self._seed += 1
        return self._seed

    def _begun(self, script: str) -> Job:
        return self._shop.started(self._shop.queue.submit(self._shop.behave(self._next(), script)).job)

    def _holder(self, job: Job) -> subprocess.Popen[bytes]:
        cards = {worker.card.id: worker.card for worker in self._shop.queue.workers()}
        return self._workers[cards[job.worker or ""].device]

    def _elsewhere(self, job: Job) -> bool:
        found = self._shop.queue.job(job.id)
        return found.state is not JobState.RUNNING or found.worker != job.worker

    def _alive(self) -> set[str]:
        return {worker.card.id for worker in self._shop.queue.workers() if worker.alive}

    def _has_joined(self, pid: int) -> bool:
        return pid in {worker.card.pid for worker in self._shop.queue.workers() if worker.alive}

    def _nothing_twice(self, tally: Tally) -> None:
        doubled = [entry for entry in self._shop.journal() if entry["event"] == "doubled"]
        if doubled and not tally.broke:
            tally.broke.append(f"ran twice at once: {doubled[-1]}")


def _set_clock(seconds: int) -> None:
    with open(os.environ[CLOCK], "r+b") as file:
        file.write(struct.pack("q", seconds * 10**9))


def _signal(pids: list[int], kind: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, kind)


def _lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as home:
        shop = make_shop(Path(home))
        try:
            Trials(shop, Options(**json.loads(sys.argv[1]))).run()
        finally:
            shop.close()
