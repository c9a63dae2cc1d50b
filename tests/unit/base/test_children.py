"""Functions in processes of their own: what crosses, and every way in which a child can end."""

from __future__ import annotations

import io
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from core.base.children.call import Child, NoAnswer
from core.base.children.events import Ending, EndingKind, event_line, read_events
from core.base.children.stop import Stop, stopped_by
from core.base.errors import BrokenModel, EngineRoomError
from core.base.progress import Progress, Report, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    path: Path
    sizes: tuple[int | None, ...]
    share: float


def find(path: Path, sizes: Sequence[int | None], report: Report) -> Found:
    for step in range(3):
        report(Progress(message=f"Step {step}"))
    return Found(path=path, sizes=tuple(sizes), share=float("nan"))


def wait_until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not so() and time.monotonic() < deadline:
        time.sleep(0.05)


def length(text: str) -> int:
    return len(text)


def environment() -> dict[str, str]:
    return dict(os.environ)


def refuse() -> None:
    raise BrokenModel("It is torn.", hint="Bring another.", detail="byte 7")


def stumble() -> None:
    print("about to stumble")
    raise ValueError("first line\nno such thing")


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def answer_wrongly() -> int:
    return "seven"  # type: ignore[return-value]


def write_nonsense_events() -> int:
    events = int(next(name for name in os.listdir("/proc/self/fd") if "pipe" in _target(name) and int(name) > 2))
    for line in (b"torn", b"[]\n", event_line("error", 7), event_line("progress", {"message": 3}), event_line("x", 1)):
        os.write(events, line)
    return 7


def tell_what_no_store_takes(report: Report) -> int:
    """As code in a model may, that has the pipe of the events."""
    events = int(next(name for name in os.listdir("/proc/self/fd") if "pipe" in _target(name) and int(name) > 2))
    text = "a\ud800\0b"
    for number in range(30):
        os.write(events, event_line(f"kind {number}", 1))
    for fraction in (float("nan"), float("inf"), -1, 7, 0.5):
        os.write(events, event_line("progress", {"message": text, "fraction": fraction}))
    os.write(events, event_line("ending", {"kind": "cancelled", "words": "lies"}))
    error = {"kind": text, "message": text + "x" * 20_000, "hint": text * 2_000, "detail": text}
    os.write(events, event_line("error", error))
    return 7


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def linger(report: Report = silent) -> None:
    report(Progress(message=str(os.getpid())))
    time.sleep(60)


def linger_with_another(report: Report = silent) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    report(Progress(message=f"{os.getpid()} {other.pid}"))
    time.sleep(60)


def leave_one_behind() -> int:
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
    return 7


def test_arguments_progress_and_answer_cross_by_their_types(tmp_path: Path) -> None:
    told: list[Progress] = []
    path = tmp_path / "caf\udce9"  # a name in Latin-1
    found = Child().call(find, path, sizes=[1, None], report=told.append)
    assert (found.path, found.sizes) == (path, (1, None))
    assert math.isnan(found.share)
    assert [step.message for step in told] == ["Step 0", "Step 1", "Step 2"]


def test_a_request_may_be_longer_than_a_pipe_holds() -> None:
    assert Child().call(length, "x" * 3_000_000) == 3_000_000


def test_an_error_we_can_name_comes_back_as_it_was() -> None:
    with pytest.raises(BrokenModel) as raised:
        Child().call(refuse)
    assert (raised.value.message, raised.value.hint, raised.value.detail) == ("It is torn.", "Bring another.", "byte 7")


def test_any_other_error_is_no_answer_and_its_last_words_are_kept(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer) as raised:
        Child().call(stumble)
    assert raised.value.last_line == "no such thing"
    assert raised.value.ending.words == "ended with exit code 1 and no answer"
    assert raised.value.log.startswith("about to stumble\nTraceback")
    with pytest.raises(NoAnswer):
        Child(log=tmp_path / "log.txt").call(stumble)
    assert (tmp_path / "log.txt").read_text() == raised.value.log


def test_a_signal_is_named() -> None:
    with pytest.raises(NoAnswer, match=r"was ended by SIGSEGV: a fault in native code") as raised:
        Child().call(crash)
    assert raised.value.ending.kind is EndingKind.SIGNALLED
    assert raised.value.last_line == raised.value.ending.words
    assert Ending.of(-35).words == "was ended by signal 35"


def test_a_program_that_is_not_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="could not be started: No such file or directory"):
        Child(python="/nowhere/python").call(length, "x")


def test_an_answer_of_another_type_is_none() -> None:
    with pytest.raises(NoAnswer, match="gave an answer that is none"):
        Child().call(answer_wrongly)


def test_lines_that_are_no_events_are_passed_over() -> None:
    assert Child().call(write_nonsense_events) == 7
    assert list(read_events(io.BytesIO(b'{torn\n[1]\n{"answer": null}\n'))) == [("answer", None)]


def test_what_is_told_can_be_stored_and_shown() -> None:
    told: list[Progress] = []

    with pytest.raises(EngineRoomError) as raised:
        Child().call(tell_what_no_store_takes, told.append)
    error = raised.value
    assert [step.fraction for step in told] == [None, None, 0.0, 1.0, 0.5]
    assert {step.message for step in told} == {"a?␀b"}
    assert (len(error.message), error.message[:4], error.detail) == (10_000, "a?␀b", "a?␀b")
    assert len(error.hint) == 2_000


def test_an_answer_is_no_longer_than_its_caller_reads() -> None:
    assert Child(answer_bytes=10_000).call(repeated, 5_000) == "x" * 5_000
    with pytest.raises(NoAnswer, match="more than 0 MB in one answer"):
        Child(answer_bytes=10_000).call(repeated, 20_000)


def repeated(times: int) -> str:
    return "x" * times


def test_a_time_limit_ends_it() -> None:
    started = time.monotonic()
    with pytest.raises(NoAnswer, match=r"was ended after 1.5 s, its time limit") as raised:
        Child(seconds=1.5).call(linger)
    assert raised.value.ending.kind is EndingKind.TIME
    assert time.monotonic() - started < 20


def test_what_it_left_behind_does_not_hold_its_answer_up() -> None:
    started = time.monotonic()
    assert Child().call(leave_one_behind) == 7
    assert time.monotonic() - started < 2.9


def test_an_error_out_of_the_report_ends_it() -> None:
    pids: list[int] = []

    def stop(progress: Progress) -> None:
        pids.append(int(progress.message))
        raise KeyError

    with pytest.raises(KeyError):
        Child().call(linger, stop)
    assert not psutil.pid_exists(pids[0])


def test_another_thread_ends_it_with_all_that_it_started() -> None:
    stop, told, ends = Stop(), queue.SimpleQueue[str](), queue.SimpleQueue[Exception]()

    def call() -> None:
        with stopped_by(stop):
            for _ in range(2):  # the second is ended as it begins
                try:
                    Child().call(linger_with_another, lambda progress: told.put(progress.message))
                except NoAnswer as end:
                    ends.put(end)

    thread = threading.Thread(target=call)
    thread.start()
    processes = [int(number) for number in told.get(timeout=30).split()]
    stop.end()
    thread.join(30)
    assert not thread.is_alive()
    assert ends.qsize() == 2
    wait_until(lambda: not any(psutil.pid_exists(process) for process in processes))
    assert not any(psutil.pid_exists(process) for process in processes)


def test_it_ends_with_its_caller() -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from core.base.children.call import Child
from test_children import linger
Child().call(linger, lambda progress: print(progress.message, flush=True))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as caller:
        assert caller.stdout
        child = psutil.Process(int(caller.stdout.readline()))
        caller.kill()
    child.wait(10)


def test_variables_are_added_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEN", "1")
    seen = Child(environment={"ADDED": "2", "TAKEN": None}).call(environment)
    assert seen["ADDED"] == "2"
    assert not {"TAKEN", "ENGINEROOM_EVENTS"} & seen.keys()


def test_threads_call_at_once() -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(Child().call(length, "xx"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2, 2, 2, 2]
