"""Kills workers, makes stages misbehave and crowds one SQLite file, with stages that take milliseconds and keep a journal.

Workers, guards, queue and store are the real ones; the stages are `fake_python.py`'s, which write each start and end into a
journal of their own, so that nothing here trusts the database about what ran.
"""

from __future__ import annotations

import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from bench.faults.tally import Options, Tally, Tell
from bench.shop import Shop, make_shop, wait_until
from core.jobs.job import JobState
from core.jobs.processes import boot_seconds

RANDOM = random.Random()  # noqa: S311

LATER = """import os, random, signal, time
time.sleep(random.random())
write(event="fault", key=os.path.basename(folder), stage=stage)
"""
FAULTS = {
    "segfault": "import ctypes; ctypes.string_at(0)",
    "abort": "os.abort()",
    "memory blow-up": "blocks = []\nwhile True: blocks.append(b'x' * 20_000_000)",
    "hang": "time.sleep(600)",
    "C loop that holds the interpreter": "import re; re.match('(a+)+b', 'a' * 64)",
    "hang with a detached grandchild": "os.fork() or (os.setsid(), os.fork() or time.sleep(600))\ntime.sleep(600)",
    "guard killed": "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)",
}
STUBBORN = "import re, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); re.match('(a+)+b', 'a' * 64)"
TIME_LIMIT = 2.0


def tally_of(title: str, tries: int, rows: Sequence[tuple[str, object]], *never: str) -> Tally:
    """The rows named in `never` are counts of what must not be."""
    known = dict(rows)
    broke = [f"{name}: {known[name]}" for name in never if known[name]]
    return Tally(title, tries=tries, broke=broke, notes=[f"{name}: {value}" for name, value in rows])


def spread(seconds: Sequence[float]) -> str:
    return f"median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s, of {len(seconds)}" if seconds else "none"


def kill_workers(shop: Shop, kills: int) -> Tally:
    """Kills workers at random moments of their life while jobs run, then lets the rest finish."""
    devices = ["cpu:1", "cpu:2"]
    submitted: list[str] = []
    during_a_job = 0

    def submit_more() -> None:
        waiting = len(shop.queue.jobs(states=[JobState.QUEUED]))
        for _ in range(max(0, 8 - waiting)):
            answer = shop.queue.submit(shop.request(len(submitted)))
            submitted.append(answer.job or "")

    started = time.monotonic()
    workers = {device: shop.launch_worker(device) for device in devices}
    due = dict.fromkeys(devices, 0.0)
    done = 0
    while done < kills:
        submit_more()
        joined = {worker.card.pid for worker in shop.queue.workers()}
        for device in devices:
            if not due[device] and (workers[device].pid in joined or RANDOM.random() < 0.005):  # a few die while they start
                due[device] = time.monotonic() + RANDOM.uniform(0.0, 3.0)
            if not due[device] or time.monotonic() < due[device]:
                continue
            during_a_job += any("core.jobs.guard" in child.cmdline() for child in _children(workers[device].pid))
            workers[device].kill()
            workers[device].wait()
            done += 1
            workers[device] = shop.launch_worker(device)
            due[device] = 0.0
        time.sleep(0.02)
    wait_until(lambda: all(shop.queue.job(job).state.finished for job in submitted), seconds=600, why=shop.output)
    states = Counter(shop.queue.job(job).state for job in submitted)
    journal = shop.journal()
    keys = [shop.queue.job(job).key for job in submitted]
    measured = Counter(entry["key"] for entry in journal if (entry["event"], entry["stage"]) == ("end", "measure"))
    stages = Counter((entry["key"], entry["stage"]) for entry in journal if entry["event"] == "end")
    for worker in workers.values():
        worker.terminate()
        worker.wait()
    return tally_of(
        "workers killed with SIGKILL at random moments",
        done,
        [
            ("kills", f"{done}, {during_a_job} of them while a stage ran, the others while starting, claiming or recording"),
            ("jobs submitted", len(submitted)),
            ("finished", states[JobState.DONE]),
            ("lost", len(submitted) - states[JobState.DONE]),
            ("ran through to the end, by the journal", sum(measured[key] >= 1 for key in keys)),
            ("two stages of one job at once", _doubled(shop, set(keys))),
            ("two jobs on one device at once", _doubled(shop, set(devices))),
            ("stages repeated because the kill fell between their end and its record", sum(n - 1 for n in stages.values())),
            ("most attempts of a job", max(shop.queue.job(job).attempt for job in submitted)),
            ("time", f"{time.monotonic() - started:.0f} s"),
        ],
        "lost",
        "two stages of one job at once",
        "two jobs on one device at once",
    )


def _children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE]
    return []


def _doubled(shop: Shop, names: set[str]) -> int:
    return sum(entry["event"] == "doubled" and entry["what"] in names for entry in shop.journal())


def inject_faults(shop: Shop, times: int) -> Tally:
    """Each fault in a stage, many times: what the job says, and how long that took."""
    worker = shop.launch_worker(time_limit=TIME_LIMIT, memory_bytes=400_000_000)
    rows: list[tuple[str, object]] = []
    seed = 1_000_000
    for name, script in FAULTS.items():
        took, said = [], Counter[str]()
        for _ in range(times):
            seed += 1
            job = shop.started(shop.queue.submit(shop.behave(seed, LATER + script)).job)
            ended = shop.finished(job.id)
            fault_at = next(e["at"] for e in shop.journal() if (e["event"], e["key"]) == ("fault", job.key))
            took.append((ended.finished_at or 0) - time.time() + boot_seconds() - fault_at)
            said[re.sub(r"used [\d.]+ GB", "used … GB", ended.error.message if ended.error else ended.state.value)] += 1
        told = "; ".join(f"{count} times: {words}" for words, count in said.most_common(2))
        rows.append((name, f"{told} Reported {spread(took)}"))
    rows.append(("workers that ended", int(worker.poll() is not None)))
    rows.append(("processes left", len(shop.stage_processes())))
    gone = []
    for _ in range(times):
        seed += 1
        job = shop.started(shop.queue.submit(shop.behave(seed, STUBBORN)).job)
        asked = time.monotonic()
        shop.queue.cancel(job.id)
        wait_until(lambda: not shop.stage_processes(), seconds=10)
        gone.append(time.monotonic() - asked)
    rows.append(("a C loop that ignores SIGTERM, cancelled: no process left after", spread(gone)))
    worker.terminate()
    worker.wait()
    title = f"faults inside a stage, up to 1 s after its start (limits: {TIME_LIMIT:g} s, 0.4 GB)"
    return tally_of(title, (len(FAULTS) + 1) * times, rows, "workers that ended", "processes left")


def take_over(shop: Shop, times: int) -> Tally:
    """Kills or freezes a worker for good: the job goes to another of its type, and never runs twice at once."""
    rows: list[tuple[str, object]] = []
    seed = 2_000_000
    for name, number in (("killed", signal.SIGKILL), ("frozen", signal.SIGSTOP)):
        took = []
        for _ in range(times):
            seed += 1
            first = shop.start_worker("cpu:1")
            job = shop.started(shop.queue.submit(shop.behave(seed, "import time; time.sleep(600)")).job)
            second = shop.start_worker("cpu:2")
            shop.behave(seed, "import time; time.sleep(1)")
            began = time.monotonic()
            first.send_signal(number)
            wait_until(lambda job=job: _starts(shop, job.key) == 2, seconds=60, why=shop.output)  # type: ignore[misc]
            took.append(time.monotonic() - began)
            first.send_signal(signal.SIGCONT)
            shop.finished(job.id)
            for worker in (first, second):
                worker.kill()
                worker.wait()
        rows.append((f"worker {name}: its job ran elsewhere after (lease 2 s)", spread(took)))
    rows.append(("jobs that ran twice at once", sum(e["event"] == "doubled" for e in shop.journal())))
    return tally_of("a worker killed or frozen for good: another takes over", 2 * times, rows, "jobs that ran twice at once")


def _starts(shop: Shop, key: str) -> int:
    return sum(e["event"] == "start" and e["key"] == key and e["stage"] == "build" for e in shop.journal())


def idle(shop: Shop, samples: int) -> Tally:
    """A warm worker: its size, what it burns, and how fast it starts a job."""
    worker = shop.start_worker(lease=10.0, fake=False)
    process = psutil.Process(worker.pid)
    time.sleep(3)
    before, clock = process.cpu_times(), time.monotonic()
    fresh = process.memory_info().rss
    time.sleep(30)
    after = process.cpu_times()
    share = (after.user + after.system - before.user - before.system) / (time.monotonic() - clock)
    worker.terminate()
    worker.wait()
    worker = shop.start_worker()
    (shop.folder / "seconds").write_text("0")
    waits = []
    for seed in range(3_000_000, 3_000_000 + samples):
        time.sleep(RANDOM.uniform(0.2, 0.8))
        asked = boot_seconds()
        submitted = shop.queue.submit(shop.request(seed))
        shop.finished(submitted.job)
        waits.append(min(e["at"] for e in shop.journal() if e["key"] == submitted.key) - asked)
    used = psutil.Process(worker.pid).memory_info().rss
    worker.terminate()
    worker.wait()
    return tally_of(
        "a warm worker, left alone",
        samples,
        [
            ("resident, idle", f"{fresh / 1e6:.0f} MB fresh, {used / 1e6:.0f} MB after {samples} jobs"),
            ("processor, idle", f"{share:.1%} of a core"),
            ("from the call of submit to the stage's process running", spread(waits)),
        ],
    )


READER = """
import sys, time
from pathlib import Path
from core.jobs.queue import Queue
from core.storage.workspace import Workspace
queue, reads, errors = Queue(Workspace(Path(sys.argv[1]))), 0, 0
while not Path(sys.argv[2]).exists():
    try:
        for job in queue.jobs(limit=50):
            reads += 1
        queue.workers()
        if queue.jobs(limit=1): queue.log(queue.jobs(limit=1)[0].id)
    except Exception as error:
        errors += 1
        print(repr(error), file=sys.stderr)
    time.sleep(0.2)
print(reads, errors)
"""


def crowd(shop: Shop, workers: int, readers: int) -> Tally:
    """Many workers and readers on one SQLite file."""
    (shop.folder / "seconds").write_text("0.05")
    for number in range(workers):
        shop.start_worker(f"cpu:{number + 1}", lease=20.0)
    stop = shop.folder / "stop"
    command = [sys.executable, "-c", READER, str(shop.workspace.root), str(stop)]
    reading = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(readers)]
    started = time.monotonic()
    jobs = [shop.queue.submit(shop.request(4_000_000 + number)).job or "" for number in range(workers * 5)]
    wait_until(lambda: all(shop.queue.job(job).state.finished for job in jobs), seconds=600, why=shop.output)
    took = time.monotonic() - started
    time.sleep(5)
    stop.touch()
    told = [process.communicate()[0].split() for process in reading]
    logs = "\n".join(path.read_text(errors="replace") for path in shop.folder.glob("worker-*.log"))
    states = Counter(shop.queue.job(job).state.value for job in jobs)
    return tally_of(
        f"{workers} workers and {readers} readers on one SQLite file",
        len(jobs),
        [
            ("jobs", f"{dict(states)} in {took:.0f} s"),
            ("workers that had a job", len({shop.queue.job(job).worker for job in jobs})),
            ("errors of readers", sum(int(errors) for _, errors in told)),
            ("jobs read", sum(int(reads) for reads, _ in told)),
            ("lines of workers about a locked database", sum("locked" in line for line in logs.splitlines())),
            ("two stages at once", sum(entry["event"] == "doubled" for entry in shop.journal())),
        ],
        "errors of readers",
        "lines of workers about a locked database",
        "two stages at once",
    )


def try_all(options: Options, tell: Tell) -> None:
    RANDOM.seed(options.seed)
    parts: list[Callable[[Shop], Tally]] = [
        lambda shop: idle(shop, 3 * options.tries),
        lambda shop: inject_faults(shop, options.tries),
        lambda shop: take_over(shop, options.tries),
        lambda shop: kill_workers(shop, options.kills // 5),
        lambda shop: crowd(shop, 20, 10),
    ]
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            shop = make_shop(Path(folder))
            try:
                tell(part(shop))
            finally:
                shop.close()
