"""What a user sees of a full and of a read-only disk: every step of a job is met there, and told in words."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.attack.instance import Instance
from bench.faults.house import House, seconds_until, seeded_model
from bench.faults.small_disk import SmallDisk
from bench.faults.tally import Options, Tally
from bench.shop import ROOT, make_shop
from core.base.errors import EngineRoomError
from core.base.files import WORKSPACE_VARIABLE
from core.intake.take_in import take_in
from core.jobs.job import Job, JobState
from core.request.build_request import BuildRequest

STAGES = ("convert", "build", "inspect", "reference", "parity", "measure")
JOB_SECONDS = 5.0  # about what a job takes
HELD_SECONDS = 15.0  # a disk is full for so long, unless the job has ended before
WORDS: tuple[str, ...] = (
    "No space left",
    "not writable",
    "could not be written",
    "Could not write",
    "Permission denied",
    "Read-only",
    "is full",
)
WORDS += ("disk I/O error", "readonly database", "unable to open database", "disk is full", "not be made")


Fault = Callable[[], AbstractContextManager[None]]


def in_words(text: str) -> bool:
    return any(word in text for word in WORDS)


class Trials:
    def __init__(self, folder: Path, options: Options, who: str) -> None:
        self._disk, self._options, self._who = SmallDisk(folder), options, who
        self._house = House(make_shop(folder))
        self._seed = 0
        self._first: Job | None = None

    def run(self) -> None:
        made = self._house
        first = made.shop.queue.submit(made.shop.request(0))
        self._worker_starts("full", self._disk.full)
        made.start_worker(wait=True)
        self._first = made.shop.finished(first.job, seconds=300)
        for stage in STAGES:
            self._fills_in(stage)
        self._fills_at_any_time()
        for stage in STAGES:
            self._closes_in(stage)
        self._without_stage("the disk is full", self._disk.full)
        self._server("the disk is full", self._disk.full)
        self._nothing_is_left()
        if made.worker:
            made.worker.terminate()
            made.worker.wait(30)
        for queue in made.shop.queues:
            queue.close()
        made.shop.queues.clear()
        self._worker_starts("read-only", self._disk.read_only)
        self._without_stage("the disk is read-only", self._disk.read_only)
        made.start_worker(wait=True)
        done = made.shop.finished(made.shop.queue.submit(self._next()).job, seconds=300)
        last = Tally(f"after all of it a job is done ({self._who})")
        last.hold(done.state is JobState.DONE, f"{done.state}: {done.error}")
        self._tell(last)

    def close(self) -> None:
        self._house.close()

    def _tell(self, tally: Tally) -> None:
        print(json.dumps(asdict(tally)), flush=True)

    def _next(self) -> BuildRequest:
        """A request for a model of its own, so that every step has something to write."""
        self._seed += 1
        shop = self._house.shop
        path = seeded_model(self._house.folder / "tiny.onnx", self._seed)
        return shop.request(self._seed, model=take_in(path, shop.workspace).digest)

    def _fills_in(self, stage: str) -> None:
        tally = Tally(f"the disk is full from a moment in {stage} on: the job ends in words, or waits; and is done with room")
        for _ in range(self._options.tries):
            self._job_meets(tally, lambda: self._reaches(stage), self._disk.full)
        self._tell(tally)

    def _fills_at_any_time(self) -> None:
        tally = Tally("the disk is full from any moment of a job on")
        many = 4 * self._options.tries
        for number in range(many):
            self._job_meets(tally, partial(time.sleep, JOB_SECONDS * number / many), self._disk.full)
        self._tell(tally)

    def _closes_in(self, stage: str) -> None:
        tally = Tally(f"the workspace's folders are read-only from a moment in {stage} on")
        root = self._house.shop.workspace.root
        for _ in range(self._options.tries):
            self._job_meets(
                tally,
                lambda: self._reaches(stage),
                lambda: self._disk.folders_closed(root / "artifacts", root / "builds", root / "tmp", root / "models"),
            )
        self._tell(tally)

    def _reaches(self, stage: str) -> None:
        seconds_until(lambda: (self._house.at_work() or ("", ""))[1] == stage, limit=120, every=0.01)
        time.sleep(0.1 * (self._seed % 5))

    def _job_meets(self, tally: Tally, wait: Callable[[], object], fault: Fault) -> None:
        """A job meets the fault once `wait` is over; later it is gone again."""
        made, queue = self._house, self._house.shop.queue
        if made.worker is None or made.worker.poll() is not None:
            tally.hold(False, f"the worker is gone: {made.shop.output()[-500:]}")
            made.start_worker(wait=True)
        job = queue.submit(self._next()).job or ""
        wait()
        met = time.monotonic()
        with fault():
            ended = seconds_until(lambda: self._ended(job), limit=HELD_SECONDS, every=0.1)
        took = time.monotonic() - met if ended is not None else None
        found = made.shop.finished(job, seconds=300)
        if found.state is JobState.FAILED:
            said = f"{found.error.message} {found.error.detail}" if found.error else ""
            tally.hold(in_words(said), f"{job} says {found.error}", took)
            found = made.shop.finished(queue.retry(job).job, seconds=300)
        elif failed := [one for one in found.stages if one.error]:
            tally.hold(in_words(f"{failed[0].error}"), f"{job} says {failed[0].error}", took)
            found = made.shop.finished(queue.submit(found.request, force=True).job, seconds=300)
        else:
            tally.hold(True, "")
        torn = made.torn()
        if found.state is not JobState.DONE or torn or not made.shop.queue.outcome(found.key).built:
            tally.broke.append(f"with room again {found.id} is {found.state.value}: {found.error}; torn: {torn}")

    def _ended(self, job: str) -> bool:
        try:
            return self._house.shop.queue.job(job).state.finished
        except EngineRoomError:  # a full disk has no room to look either
            return False

    def _without_stage(self, when: str, fault: Fault) -> None:
        """Queueing, taking in, a report and listing meet the fault."""
        workspace, folder = self._house.shop.workspace, self._house.folder
        key = self._first.key if self._first else ""
        report = folder / "report.html"
        report.write_text("of yesterday")
        asks = {
            "a model is taken in and queued": partial(
                self._python, "submit", str(folder / "tiny.onnx"), "--path", "onnx.onnxruntime"
            ),
            "a build of a stored model is queued": partial(
                self._python, "submit", self._house.shop.model, "--path", "onnx.onnxruntime"
            ),
            "a report is written": partial(self._python, "report", key, "-o", str(report)),
            "space is given back": partial(self._python, "gc"),
            "jobs are listed": partial(self._python, "jobs"),
            "builds are listed": partial(self._python, "builds"),
        }
        for what, ask in asks.items():
            tally = Tally(f"{what} while {when}: done, or told in words")
            for _ in range(self._options.tries):
                seeded_model(folder / "tiny.onnx", 1_000_000 + self._seed)
                self._seed += 1
                started = time.monotonic()
                loose = workspace.artifacts / "loose"  # of no build, and old
                loose.mkdir()
                os.utime(loose, (0, 0))
                with fault():
                    done = ask()
                if "space" in what and when.endswith("full") and loose.exists():
                    tally.broke.append("nothing was given back")
                loose.rmdir() if loose.exists() else None
                said = done.stdout + done.stderr
                held = "Traceback" not in said and (done.returncode == 0 or in_words(said))
                tally.hold(held, f"code {done.returncode}: {said[-500:]}", time.monotonic() - started)
                whole = report.read_text() == "of yesterday" or report.read_text().rstrip().endswith("</html>")
                if not whole:
                    tally.broke.append(f"the report that was there is torn: {report.stat().st_size} bytes")
                    report.write_text("of yesterday")
                again = ask()
                if again.returncode:
                    tally.broke.append(f"with room again: {(again.stdout + again.stderr)[-300:]}")
                report.write_text("of yesterday")
                left = [path.name for path in (workspace.root / "tmp").glob("*") if "desk" not in path.name]
                if left and not self._busy():
                    tally.broke.append(f"left behind: {left}")
            self._tell(tally)

    def _busy(self) -> bool:
        return bool(self._house.shop.queue.jobs(states=[JobState.RUNNING, JobState.QUEUED]))

    def _python(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": str(ROOT), WORKSPACE_VARIABLE: str(self._house.shop.workspace.root)}
        command = ["env", *(f"{name}={value}" for name, value in environment.items()), sys.executable, "-m", "core.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def _worker_starts(self, how: str, fault: Fault) -> None:
        tally = Tally(f"a worker is started while the disk is {how}: it works, or ends in words; and works with room")
        for _ in range(self._options.tries):
            started = time.monotonic()
            with fault():
                done = subprocess.Popen(
                    [sys.executable, "-m", "core.cli", "worker"],
                    env={**self._environment(), WORKSPACE_VARIABLE: str(self._house.shop.workspace.root)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                said = ""
                for line in done.stdout or ():  # until it works, or has ended
                    said += line
                    if "takes cpu jobs" in line:
                        done.terminate()
                done.wait(60)
            held = "Traceback" not in said and (in_words(said) or "takes cpu jobs" in said)
            tally.hold(held, f"code {done.returncode}: {said[-600:]}", time.monotonic() - started)
        self._tell(tally)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def _server(self, when: str, fault: Fault) -> None:
        """A running server: its pages answer, and an upload is refused in words, or taken."""
        made = self._house
        made.start_server()
        pid = made.server.pid if made.server else 0
        to = Instance(workspace=made.shop.workspace, home=made.folder, port=made.port, pid=pid, quick=True, fuzzed=0)
        token = to.token  # its key is made with the first
        tally = Tally(f"an upload while {when}: refused in words, and taken with room")
        for _ in range(self._options.tries):
            self._seed += 1
            data = seeded_model(made.folder / "tiny.onnx", self._seed).read_bytes()
            started = time.monotonic()
            with fault():
                try:
                    told = to.begin(("m.onnx", len(data)))
                    said, held = told.body.decode(), told.status >= 400 and bool(token)
                    if told.status < 400:
                        said = str(to.ended(to.send("m.onnx", data)))
                        held = in_words(said) or "done" in said
                except (OSError, KeyError, http.client.HTTPException) as error:
                    said, held = repr(error), False
                alive = to.ask("GET", "/_stcore/health").status == 200
            tally.hold(held and alive and "message" in said, f"{said[:400]}", time.monotonic() - started)
            told_now = to.ended(to.send("m.onnx", data))
            if told_now["state"] != "done":
                tally.broke.append(f"with room again: {told_now}")
        self._tell(tally)

    def _nothing_is_left(self) -> None:
        made = self._house
        tally = Tally("no process, no partial work, no temporary file is left")
        seconds_until(lambda: not self._busy(), limit=120)
        made.stop()
        tally.hold(not (orphans := made.orphans()), f"processes: {orphans}")
        for name in made.left_behind():
            if name not in ("report.html", "filler"):
                tally.hold(False, name)
        self._tell(tally)


if __name__ == "__main__":
    folder, options, who = sys.argv[1:]
    trials = Trials(Path(folder), Options(**json.loads(options)), who)
    try:
        trials.run()
    finally:
        trials.close()
