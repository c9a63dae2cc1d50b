"""The guard over faulty programs: every ending is told in words, and no process is left."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.base.children.events import EndingKind
from core.base.serialization import to_data
from core.jobs.processes import boot_seconds
from core.jobs.supervisor import GuardedChild


class Guarded:
    """A guarded Python program, its events and its log."""

    def __init__(
        self,
        folder: Path,
        script: str,
        *,
        lease: float = 60.0,
        seconds: float = 60.0,
        memory: int = 2_000_000_000,
        fds: tuple[int, ...] = (),
    ) -> None:
        self.pids = folder / "pids.txt"
        self.log = folder / "log.txt"
        environment = {**os.environ, "PIDS": str(self.pids)}
        header = "import os, sys\ndef here(): open(os.environ['PIDS'], 'a').write(f'{os.getpid()}\\n')\nhere()\n"
        limits = {"lease_seconds": lease, "time_seconds": seconds, "memory_bytes": memory}
        with self.log.open("ab") as log:
            self.child = GuardedChild(
                [sys.executable, "-c", header + script], environment=environment, log=log, limits=limits, fds=fds
            )

    def wait_for_processes(self, count: int) -> list[psutil.Process]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = self.pids.read_text().split() if self.pids.exists() else []
            if len(found) >= count:
                return [psutil.Process(int(pid)) for pid in found]
            time.sleep(0.01)
        raise AssertionError(self.log.read_text())

    def ending(self) -> dict[str, str]:
        code = self.child.wait()
        self.child.close()
        return dict(to_data(self.child.ending(code)))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[..., Guarded]]:
    started: list[Guarded] = []

    def start(script: str, **limits: Any) -> Guarded:
        started.append(Guarded(tmp_path, script, **limits))
        return started[-1]

    yield start
    for one in started:
        one.child.kill()
        for line in one.pids.read_text().split() if one.pids.exists() else []:
            assert not is_alive(int(line)), one.log.read_text()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_ordinary_end_tells_the_exit_code(guarded: Callable[..., Guarded]) -> None:
    ending = guarded("sys.exit(3)").ending()
    assert ending == {"kind": "exited", "words": "ended with exit code 3 and no answer"}


@pytest.mark.parametrize(("name", "words"), [("SIGSEGV", "a fault in native code"), ("SIGABRT", "native code gave up")])
def test_a_crash_in_native_code_is_named(guarded: Callable[..., Guarded], name: str, words: str) -> None:
    ending = guarded(f"import signal; os.kill(os.getpid(), signal.{name})").ending()
    assert ending["kind"] == EndingKind.SIGNALLED.value
    assert ending["words"] == f"was ended by {name}: {words}"


def test_a_program_that_cannot_start_says_so_in_the_log(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("ab") as log:
        limits = {"lease_seconds": 9, "time_seconds": 9, "memory_bytes": 10**9}
        child = GuardedChild(["/nowhere/python"], environment=dict(os.environ), log=log, limits=limits, fds=())
    child.wait()
    child.close()
    assert "Could not start /nowhere/python: No such file" in (tmp_path / "log.txt").read_text()


def test_a_hang_is_ended_at_the_time_limit(guarded: Callable[..., Guarded]) -> None:
    started = time.monotonic()
    ending = guarded("import time; time.sleep(60)", seconds=0.5).ending()
    assert ending == {"kind": "time", "words": "was ended after 0.5 s, its time limit"}
    assert time.monotonic() - started < 20


def test_a_memory_blow_up_is_ended_at_the_limit_of_the_whole_tree(guarded: Callable[..., Guarded]) -> None:
    half = "import subprocess, time\nblock = b'x' * 150_000_000\n"
    script = f"subprocess.Popen([sys.executable, '-c', {half + 'time.sleep(60)'!r}])\n"
    ending = guarded("import subprocess\n" + script + half + "time.sleep(60)", memory=250_000_000).ending()
    assert ending["kind"] == EndingKind.MEMORY.value
    assert "more than its limit of 0.25 GB" in ending["words"]


def test_processes_without_end_are_ended_all_at_once(guarded: Callable[..., Guarded]) -> None:
    script = "import time\nfor _ in range(20_000):\n    if os.fork() == 0:\n        time.sleep(60)\ntime.sleep(60)"
    ending = guarded(script, memory=10**12).ending()
    assert ending == {"kind": "output", "words": "was ended when it had started more than 512 processes, its limit"}


def test_a_c_loop_that_ignores_sigterm_is_gone_within_a_second_of_cancelling(guarded: Callable[..., Guarded]) -> None:
    script = "import signal, re\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nhere()\nre.match('(a+)+b', 'a' * 64)"
    run = guarded(script)
    process = run.wait_for_processes(2)[0]
    asked = time.monotonic()
    run.child.tell("cancel")
    process.wait(5)
    assert run.ending() == {"kind": "cancelled", "words": "was cancelled"}
    assert time.monotonic() - asked < 5  # about 0.02 s; bench/faults.py measures it


def test_detached_grandchildren_end_with_the_stage(guarded: Callable[..., Guarded]) -> None:
    script = """
import signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        here()
        time.sleep(60)
    os._exit(0)
while len(open(os.environ['PIDS']).read().split()) < 2: time.sleep(0.01)
"""
    run = guarded(script)
    assert run.ending()["kind"] == EndingKind.EXITED.value
    assert "1 processes that the stage left behind were ended." in run.log.read_text()


def test_the_tree_ends_when_the_worker_dies(guarded: Callable[..., Guarded]) -> None:
    script = "import subprocess, time\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\nhere()\ntime.sleep(60)"
    run = guarded(script)
    run.wait_for_processes(2)
    run.child.close()
    assert run.ending()["kind"] == EndingKind.ORPHANED.value


def test_the_tree_ends_when_the_lease_runs_out(guarded: Callable[..., Guarded]) -> None:
    run = guarded("import time; time.sleep(60)", lease=1.0)
    run.wait_for_processes(1)
    renewed = boot_seconds()
    run.child.tell(f"lease {renewed + 0.5}")
    assert run.ending()["kind"] == EndingKind.LEASE.value
    assert boot_seconds() - renewed > 1.4


def test_a_lease_that_is_renewed_does_not_run_out(guarded: Callable[..., Guarded]) -> None:
    run = guarded("import time; time.sleep(1.5)", lease=0.6)
    while run.child.poll() is None:
        run.child.tell(f"lease {boot_seconds()}")
        time.sleep(0.05)
    assert run.ending()["kind"] == EndingKind.EXITED.value


def test_killing_the_guard_kills_the_stage(guarded: Callable[..., Guarded]) -> None:
    run = guarded("import time; time.sleep(60)")
    stage = run.wait_for_processes(1)[0]
    guard = stage.parent()
    assert guard is not None
    guard.kill()
    stage.wait(5)
    run.child.wait()


def test_the_build_is_the_first_that_the_kernel_takes(guarded: Callable[..., Guarded]) -> None:
    run = guarded("print(open('/proc/self/oom_score_adj').read())")
    run.ending()
    assert run.log.read_text().split()[0] == "1000"


def test_a_lock_is_free_only_when_the_last_process_is_gone(guarded: Callable[..., Guarded], tmp_path: Path) -> None:
    from core.jobs.device import try_lock

    path = tmp_path / "device.lock"
    held = try_lock(path)
    assert held is not None
    run = guarded("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nhere()\ntime.sleep(60)", fds=(held,))
    stage = run.wait_for_processes(2)[0]
    os.close(held)
    assert try_lock(path) is None
    os.kill(stage.pid, signal.SIGSTOP)
    assert try_lock(path) is None
    run.child.tell("cancel")
    run.ending()
    freed = try_lock(path)
    assert freed is not None
    os.close(freed)


def test_a_fork_bomb_is_ended(guarded: Callable[..., Guarded]) -> None:
    script = """
import time
for _ in range(60):
    if os.fork() == 0:
        os.setsid()
        here()
        time.sleep(60)
time.sleep(60)
"""
    run = guarded(script)
    run.wait_for_processes(61)
    run.child.tell("cancel")
    assert run.ending()["kind"] == EndingKind.CANCELLED.value
