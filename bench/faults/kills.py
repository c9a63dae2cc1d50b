"""Kills, ends and freezes worker, guard, stage and server at random moments, while models are uploaded and built."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from bench.attack.instance import Instance
from bench.faults.house import CHILD, House, command_line, house, seconds_until, seeded_model
from bench.faults.tally import Options, Tally, Tell
from core.base.errors import EngineRoomError
from core.jobs.job import Job, JobState
from core.storage.builds import StageName, StageRecord, State

TARGETS = {"worker": 30, "worker and guard": 10, "guard": 18, "stage": 27, "server": 15}  # of 100 kills
SIGNALS = {signal.SIGKILL: 60, signal.SIGTERM: 20, signal.SIGSTOP: 20}
FROZEN_SECONDS = (0.2, 9.0)  # the lease of these workers is 5 s
QUEUED = 3  # jobs at least
GONE_SECONDS, TOLD_SECONDS = 30.0, 120.0
WORDS = {  # of what the job says
    ("stage", signal.SIGKILL): "was ended by SIGKILL",
    ("stage", signal.SIGTERM): "was ended by SIGTERM",
    ("guard", signal.SIGKILL): "was ended with the guard around it",
}


def try_all(options: Options, tell: Tell) -> None:
    with house() as made:
        Killing(made, options).run(tell)


class Killing:
    def __init__(self, made: House, options: Options) -> None:
        self._house, self._options = made, options
        self._random = random.Random(options.seed)  # noqa: S311
        self._tallies: dict[tuple[str, signal.Signals], Tally] = {}
        self._right = Tally("no job runs without a worker, nothing stands half written, after each of these")
        self._keys: dict[str, str] = {}  # of the jobs that were sent
        self._retried: set[str] = set()
        self._uploads = Uploads(made, options.seed)
        self._watch = Watch(made)

    def run(self, tell: Tell) -> None:
        self._house.start_server()
        self._house.start_worker(wait=True)
        self._uploads.start()
        self._watch.start()
        until = time.monotonic() + 60 * self._options.minutes
        for number in range(self._options.kills):
            if time.monotonic() > until:
                break
            self._keep_busy()
            target = self._random.choices(list(TARGETS), list(TARGETS.values()))[0]
            kind = self._random.choices(list(SIGNALS), list(SIGNALS.values()))[0]
            self._strike(target, kind)
            if number % 100 == 99:
                print(f"          {number + 1} kills, {len(self._keys)} jobs", flush=True)
        for key in sorted(self._tallies):
            tell(self._tallies[key])
        tell(self._right)
        for tally in self._afterwards():
            tell(tally)

    def _strike(self, target: str, kind: signal.Signals) -> None:
        tally = self._tallies.setdefault((target, kind), Tally(f"{target}, {kind.name}"))
        pid = self._find(target)
        if pid is None:
            tally.hold(False, f"no {target} came: {self._house.shop.output()[-600:]}")
            return
        time.sleep(self._random.uniform(0.0, 0.9))
        pid = self._find(target, seconds=2.0) or pid
        at_work = self._house.at_work()
        struck_ones = [pid, *filter(None, [self._house.guard() if target == "worker and guard" else None])]
        _signal(struck_ones, kind)
        struck = time.monotonic()
        if kind is signal.SIGSTOP:
            time.sleep(self._random.uniform(*FROZEN_SECONDS))
            _signal(struck_ones, signal.SIGCONT)
        checks = {"worker": self._worker_gone, "worker and guard": self._worker_gone, "server": self._server_gone}
        check = checks.get(target)
        if check:
            check(tally, kind, struck)
        else:
            self._stage_gone(tally, target, kind, at_work, struck)
        self._look_around(target, kind)

    def _find(self, target: str, seconds: float = 120.0) -> int | None:
        """A process of that kind, as soon as there is one."""
        made = self._house
        found: dict[str, Callable[[], int | None]] = {
            "worker": lambda: made.worker.pid if made.worker else None,
            "worker and guard": lambda: made.worker.pid if made.worker and made.guard() else None,
            "server": lambda: made.server.pid if made.server else None,
            "guard": made.guard,
            "stage": made.stage,
        }
        deadline = time.monotonic() + seconds
        while (pid := found[target]()) is None and time.monotonic() < deadline:
            self._keep_busy()
            time.sleep(0.02)
        return pid

    def _worker_gone(self, tally: Tally, kind: signal.Signals, struck: float) -> None:
        """All that it had started is gone soon; another is started."""
        made = self._house
        if made.worker is None:
            return
        if kind is signal.SIGSTOP:
            ended = made.worker.poll()
            tally.hold(ended is None, f"a worker that was frozen for a while ended with {ended}")
        else:
            with suppress(Exception):
                made.worker.wait(GONE_SECONDS)
            gone = seconds_until(lambda: not made.orphans(), limit=GONE_SECONDS)
            tally.hold(gone is not None, f"left behind: {made.orphans()}", time.monotonic() - struck)
        if made.worker.poll() is not None:
            made.start_worker()
            if self._random.random() < 0.15:  # some die while they start
                time.sleep(self._random.uniform(0.0, 2.0))
                made.worker.kill()
                made.worker.wait()
                made.start_worker()

    def _server_gone(self, tally: Tally, kind: signal.Signals, struck: float) -> None:
        """What read its uploads is gone soon; another is started, and answers."""
        made = self._house
        if made.server is None:
            return
        if kind is not signal.SIGSTOP:
            with suppress(Exception):
                made.server.wait(GONE_SECONDS)
            gone = seconds_until(lambda: not made.orphans(), limit=GONE_SECONDS)
            tally.hold(gone is not None, f"left behind: {made.orphans()}", time.monotonic() - struck)
            made.start_server()
        else:
            told = seconds_until(self._uploads.answers, limit=GONE_SECONDS)
            tally.hold(told is not None, "no answer after it was frozen for a while")

    def _stage_gone(
        self, tally: Tally, target: str, kind: signal.Signals, at_work: tuple[str, str] | None, struck: float
    ) -> None:
        """The job says what happened; a stage that had its answer given, was frozen, or has a deaf guard goes on."""
        words = WORDS.get((target, kind))
        job = next((job for job, key in reversed(self._keys.items()) if at_work and key == at_work[0]), None)
        if words is None or at_work is None or job is None:
            tally.hold(True, "")
            return
        record: StageRecord | None = None
        struck_at = time.time() - (time.monotonic() - struck) - 0.5

        def told() -> bool:
            nonlocal record
            found = self._house.shop.queue.job(job)
            record = next(one for one in found.stages if one.stage is StageName(at_work[1]))
            if record.started_at and record.seconds is not None and record.started_at + record.seconds < struck_at:
                return False  # of an earlier attempt
            return found.state.finished or record.state not in (State.WAITING, State.RUNNING)

        took = seconds_until(told, limit=TOLD_SECONDS)
        if took is None:
            tally.hold(False, f"{at_work[1]} of job {job} says nothing: {record}\n{self._house.shop.output()[-600:]}")
        elif record and record.state is State.FAILED:
            said = record.error.message if record.error else "no reason"
            tally.hold(words in said, f"job {job} says: {said}", time.monotonic() - struck)
        else:
            tally.hold(record is not None and record.state is State.DONE, f"{at_work[1]} of job {job} ended as {record}")

    def _look_around(self, target: str, kind: signal.Signals) -> None:
        made, which = self._house, f"after {kind.name} to the {target}"
        took = seconds_until(lambda: not made.running_without_a_worker(), limit=TOLD_SECONDS)
        jobs = made.running_without_a_worker() if took is None else []
        torn = made.torn()
        self._right.hold(took is not None and not torn, f"{which}: running without a worker: {jobs}; torn: {torn}", took)

    def _keep_busy(self) -> None:
        """Retries what failed, and sends more, so that a few jobs wait."""
        queue = self._house.shop.queue
        jobs = queue.jobs(limit=50)
        for job in jobs:
            if job.id in self._keys and job.state is JobState.FAILED and job.id not in self._retried:
                self._retried.add(job.id)
                self._sent(queue.retry(job.id).job, job.key)
        if sum(not job.state.finished for job in jobs) < QUEUED:
            model = self._random.choice(self._uploads.stored or [self._house.shop.model])
            submitted = queue.submit(self._house.shop.request(len(self._keys), model=model))
            self._sent(submitted.job, submitted.key)

    def _sent(self, job: str | None, key: str) -> None:
        if job:
            self._keys[job] = key

    def _afterwards(self) -> list[Tally]:
        """Once everything has come to its end: is it all there, once, and nothing else?"""
        made, queue = self._house, self._house.shop.queue
        ended = Tally("every job ended, once: done, or failed with the reason and done when it was tried again")
        self._uploads.over.set()
        self._uploads.join()
        deadline = time.monotonic() + 1800
        while time.monotonic() < deadline and (open_jobs := self._unfinished()):
            for job in open_jobs:
                if job.state is JobState.FAILED:
                    self._retried.add(job.id)
                    self._sent(queue.retry(job.id).job, job.key)
            time.sleep(0.5)
        listed = queue.jobs(limit=100_000)
        built = {job.key for job in listed if job.state is JobState.DONE}
        for job in listed:
            reason = job.state is JobState.DONE or (job.state is JobState.FAILED and bool(job.error and job.error.message))
            ended.hold(reason and job.key in built, f"job {job.id} is {job.state.value}: {job.error}")
        times = Counter(job.id for job in listed)
        lost = Tally("no job lost, none there twice, none that nobody sent")
        for job_id in {*times, *self._keys}:
            lost.hold(times[job_id] == 1 and job_id in self._keys, f"job {job_id}: {times[job_id]} times")
        states = Counter(job.state.value for job in listed)
        attempts = max((job.attempt for job in listed), default=0)
        ended.notes.append(f"{dict(states)}, {len(built)} builds; most attempts of a job: {attempts}")
        found = Tally("every finished build can be shown, with its figures")
        for key in sorted(built):
            try:
                outcome = queue.outcome(key)
                found.hold(outcome.built is not None, f"build {key[:12]} has no engine")
            except EngineRoomError as error:
                found.hold(False, f"build {key[:12]}: {error}")
        uploads = Tally("every upload that was told to be done is stored, whole")
        for digest in self._uploads.stored:
            uploads.hold((made.shop.workspace.model_folder(digest) / "model.json").is_file(), f"model {digest[:12]} is lost")
        for told in self._uploads.failed:
            uploads.hold(False, f"an upload failed though nothing was wrong with it: {told}")
        uploads.notes.append(f"{self._uploads.cut_off} uploads were cut off and sent again")
        self._watch.over.set()
        self._watch.join()
        doubled = Tally("no two stages at once on the device")
        doubled.tries, doubled.broke = self._watch.looks, self._watch.doubled
        made.stop()
        left = Tally("afterwards no process, no partial work, no temporary file, no lock is left")
        left.hold(not made.orphans(), f"processes: {made.orphans()}")
        for name in made.left_behind():
            left.hold(False, name)
        left.hold(not (torn := made.torn()), f"torn: {torn}")
        return [ended, lost, found, uploads, doubled, left]

    def _unfinished(self) -> list[Job]:
        """Jobs that are not at their end, and failed ones whose build was not made since."""
        jobs = self._house.shop.queue.jobs(limit=100_000)
        built = {job.key for job in jobs if job.state is JobState.DONE}
        failed = [job for job in jobs if job.state is JobState.FAILED and job.key not in built and job.id not in self._retried]
        return failed + [job for job in jobs if not job.state.finished]


def _signal(pids: list[int], kind: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, kind)


class Watch(threading.Thread):
    """Looks all the time whether two stages run at once: they are for one device."""

    def __init__(self, made: House) -> None:
        super().__init__(daemon=True)
        self._folder = os.fsencode(made.folder)
        self.over = threading.Event()
        self.looks = 0
        self.doubled: list[str] = []

    def run(self) -> None:
        while not self.over.wait(0.1):
            lines = {int(name): command_line(int(name)) for name in os.listdir("/proc") if name.isdigit()}
            stages = {pid: line for pid, line in lines.items() if _is_stage(line, self._folder)}
            roots = [pid for pid in stages if stages.get(_parent(pid)) != stages[pid]]
            self.looks += 1
            if len(roots) > 1:
                self.doubled.append(f"{[stages[pid][-160:] for pid in roots]}")


def _is_stage(line: bytes, folder: bytes) -> bool:
    return CHILD in line and folder in line and b"/builds/" in line and b"guard" not in line


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Uploads(threading.Thread):
    """Sends one tiny model after the other to the server, again where it is cut off."""

    def __init__(self, made: House, seed: int) -> None:
        super().__init__(daemon=True)
        self._house, self._seed = made, seed * 1_000_000
        self.over = threading.Event()
        self.stored: list[str] = []
        self.failed: list[str] = []
        self.cut_off = 0

    def run(self) -> None:
        folder = self._house.folder / "models"
        folder.mkdir()
        while not self.over.is_set():
            self._seed += 1
            data = seeded_model(folder / "m.onnx", self._seed).read_bytes()
            while not self.over.is_set():
                try:
                    to = self._instance
                    told = to.ended(to.send("m.onnx", data), seconds=60.0)
                except ConnectionRefusedError:
                    self.over.wait(0.1)
                    continue
                except (OSError, HTTPException, ValueError, KeyError):  # killed before, in or after any of its answers
                    self.cut_off += 1
                    continue
                if told["state"] != "done":
                    self.failed.append(f"{told}")
                    continue
                self.stored.append(told["digest"])
                break
            self.over.wait(1.0)

    def answers(self) -> bool:
        try:
            return self._instance.ask("GET", "/_stcore/health").status == 200
        except OSError:
            return False

    @property
    def _instance(self) -> Instance:
        made = self._house
        pid = made.server.pid if made.server else 0
        return Instance(workspace=made.shop.workspace, home=made.folder, port=made.port, pid=pid, quick=True, fuzzed=0)
