"""Jobs through a real worker on SQLite: their life, their faults, what survives."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.shop import ROOT, Shop, wait_until
from core.base.errors import InvalidRequest, NotFound, StageCrashed, StoreFailed, Unavailable
from core.jobs.job import Answer, JobState, Priority
from core.storage.builds import State
from core.storage.workspace import Workspace

pytestmark = pytest.mark.usefixtures("forked")


@pytest.mark.usefixtures("real_processes")
def test_a_job_runs_all_stages_and_tells_times_and_log(shop: Shop) -> None:
    shop.start_worker()
    submitted = shop.queue.submit(shop.request())
    assert submitted.answer is Answer.QUEUED
    assert submitted.note == ""
    job = shop.finished(submitted.job)
    assert job.state is JobState.DONE
    assert [record.state for record in job.stages] == [State.DONE] * len(job.stages)
    assert job.submitted_at <= (job.started_at or 0) <= (job.finished_at or 0)
    assert job.attempt == 1
    assert job.error is None
    log = shop.queue.log(job.id)
    assert log.finished
    assert "stage build of" in log.text
    assert shop.queue.log(job.id, log.offset).text == ""
    assert [found.id for found in shop.queue.jobs()] == [job.id]
    assert [found.id for found in shop.queue.jobs(states=[JobState.FAILED])] == []
    assert {entry["event"] for entry in shop.journal()} == {"start", "end"}, "started without the device's lock"


def test_the_same_request_is_joined_while_it_runs_and_answered_when_it_is_done(shop: Shop) -> None:
    request = shop.behave(1, "import time; time.sleep(1)")
    first = shop.queue.submit(request)
    assert "No worker for 'cpu' is running" in first.note
    second = shop.queue.submit(request)
    assert (second.answer, second.job) == (Answer.JOINED, first.job)
    shop.start_worker()
    shop.started(first.job)
    third = shop.queue.submit(request)
    assert (third.answer, third.job) == (Answer.JOINED, first.job)
    assert shop.finished(first.job).state is JobState.DONE
    fourth = shop.queue.submit(request)
    assert (fourth.answer, fourth.job) == (Answer.STORED, first.job)
    forced = shop.queue.submit(request, force=True)
    assert forced.answer is Answer.QUEUED
    assert shop.finished(forced.job).state is JobState.DONE
    builds = [entry for entry in shop.journal() if (entry["event"], entry["stage"]) == ("end", "build")]
    assert len(builds) == 2


def test_estimates_come_from_earlier_builds_of_the_same_kind(shop: Shop) -> None:
    shop.start_worker()
    (shop.folder / "seconds").write_text("0.2")
    first = shop.queue.submit(shop.request(1)).job
    assert shop.queue.job(first or "").remaining_seconds is None
    shop.finished(first)
    second = shop.started(shop.queue.submit(shop.behave(2, "import time; time.sleep(600)")).job)
    assert second.remaining_seconds is not None
    assert second.remaining_range is not None
    assert 0.2 < second.remaining_seconds < 20
    assert second.remaining_range[0] < second.remaining_seconds < second.remaining_range[1]
    assert second.left
    third, fourth = (shop.queue.submit(shop.request(seed)).job or "" for seed in (3, 4))
    building = rf"cpu:0: build {second.key[:12]} \(tiny\.onnx, ONNX Runtime in fp32\) is building.*"
    wait_until(lambda: re.fullmatch(building, shop.queue.job(third).waits_on), why=lambda: shop.queue.job(third).waits_on)
    assert re.fullmatch(rf"{building}, and 1 job before it", shop.queue.job(fourth).waits_on)
    assert {job.id for job in shop.queue.jobs() if job.waits_on} == {third, fourth}
    command = [sys.executable, "-m", "core.cli", "jobs"]
    environment = {**os.environ, "ENGINEROOM_WORKSPACE": str(shop.workspace.root), "PYTHONPATH": str(ROOT)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"waiting for cpu:0: build {second.key[:12]}" in " ".join(told.split())


FAULTS = {
    "segfault": ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV: a fault in native code"),
    "hang": ("import time; time.sleep(600)", "its time limit"),
    "memory": ("blocks = []\nwhile True: blocks.append(b'x' * 20_000_000)", "more than its limit of 0.40 GB"),
    "C loop that holds the interpreter": ("import re; re.match('(a+)+b', 'a' * 64)", "its time limit"),
    "SIGTERM ignored": ("import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(600)", "its time limit"),
    "detached grandchild": (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0: time.sleep(600)\n os._exit(0)\ntime.sleep(600)",
        "its time limit",
    ),
    "quits": ("import os; os._exit(5)", "ended with exit code 5 and no answer"),
    "kills its guard": (
        "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)",
        "was ended by SIGKILL",
    ),
}


def test_every_fault_fails_one_job_with_its_reason_and_the_worker_lives(shop: Shop) -> None:
    worker = shop.start_worker(time_limit=1.5, memory_bytes=400_000_000)
    jobs = {name: shop.queue.submit(shop.behave(seed, script)).job for seed, (name, (script, _)) in enumerate(FAULTS.items())}
    sound = shop.queue.submit(shop.request(99)).job
    for name, (_, words) in FAULTS.items():
        job = shop.finished(jobs[name])
        assert job.state is JobState.FAILED, name
        assert job.error is not None
        assert job.error.kind == StageCrashed.__name__
        assert job.error.message.startswith("Stage build "), name
        assert words in job.error.message, name
        assert "stage build of" in shop.queue.log(job.id).text
    assert shop.finished(sound).state is JobState.DONE
    assert worker.poll() is None
    assert shop.stage_processes() == []
    assert not [entry for entry in shop.journal() if entry["event"] == "doubled"]


def test_a_queued_job_is_cancelled_and_never_runs(shop: Shop) -> None:
    job = shop.queue.submit(shop.request()).job
    assert job is not None
    assert shop.queue.cancel(job).state is JobState.CANCELLED
    shop.start_worker()
    other = shop.queue.submit(shop.request(1))
    shop.finished(other.job)
    assert {entry["key"] for entry in shop.journal()} == {other.key}


def test_a_running_job_is_cancelled_at_once_and_can_be_retried(shop: Shop) -> None:
    shop.start_worker()
    request = shop.behave(1, "import signal, re\nsignal.signal(15, signal.SIG_IGN)\nre.match('(a+)+b', 'a' * 64)")
    job = shop.started(shop.queue.submit(request).job)
    assert job.state is JobState.RUNNING
    with pytest.raises(InvalidRequest, match="is running"):
        shop.queue.retry(job.id)
    assert shop.queue.cancel(job.id).state is JobState.CANCELLED
    wait_until(lambda: not shop.stage_processes(), seconds=5)
    shop.behave(1, "")
    again = shop.queue.retry(job.id)
    assert again.job != job.id
    assert shop.finished(again.job).state is JobState.DONE
    assert shop.queue.job(job.id).state is JobState.CANCELLED
    simplify = [entry for entry in shop.journal() if (entry["stage"], entry["event"]) == ("simplify", "end")]
    assert len(simplify) <= 1, "a stage that was done ran again"


def test_a_failed_job_keeps_its_finished_stages_on_retry(shop: Shop) -> None:
    shop.start_worker()
    failed = shop.finished(shop.queue.submit(shop.behave(1, "raise SystemExit(3)")).job)
    assert failed.state is JobState.FAILED
    shop.behave(1, "")
    done = shop.finished(shop.queue.retry(failed.id).job)
    assert done.state is JobState.DONE
    starts = [entry["stage"] for entry in shop.journal() if entry["event"] == "start"]
    assert starts.count("build") == 2
    assert all(starts.count(stage) == 1 for stage in starts if stage != "build")


def test_priorities_decide_the_order(shop: Shop) -> None:
    first = {
        priority: shop.queue.submit(shop.request(seed), priority=priority).key
        for seed, priority in enumerate((Priority.LOW, Priority.NORMAL, Priority.HIGH))
    }
    shop.start_worker()
    wait_until(lambda: len([e for e in shop.journal() if (e["event"], e["stage"]) == ("end", "measure")]) == 3, why=shop.output)
    order = list(dict.fromkeys(entry["key"] for entry in shop.journal()))
    assert order == [first[Priority.HIGH], first[Priority.NORMAL], first[Priority.LOW]]


def test_a_sweep_is_checked_before_any_of_it_is_queued(shop: Shop) -> None:
    with pytest.raises(InvalidRequest):
        shop.queue.submit_all([shop.request(1), shop.request(2, options={"no-such": 1})])
    assert shop.queue.jobs() == []
    assert len(shop.queue.submit_all([shop.request(seed) for seed in range(5)])) == 5
    assert len(shop.queue.jobs()) == 5


def test_a_killed_worker_loses_nothing(shop: Shop) -> None:
    worker = shop.start_worker()
    slow = shop.queue.submit(shop.behave(1, "import time; time.sleep(600)"))
    waiting = shop.queue.submit(shop.request(2))
    shop.started(slow.job)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not shop.stage_processes(), seconds=5)
    assert [job.state for job in shop.queue.jobs()] == [JobState.QUEUED, JobState.RUNNING]
    shop.behave(1, "")
    shop.start_worker()
    assert shop.finished(slow.job).state is JobState.DONE
    assert shop.finished(waiting.job).state is JobState.DONE
    assert shop.queue.job(slow.job or "").attempt == 2
    ends = [(e["key"], e["stage"]) for e in shop.journal() if e["event"] == "end"]
    assert len(ends) == len(set(ends)), "a finished stage ran again"


def test_a_worker_told_to_stop_gives_its_job_back(shop: Shop) -> None:
    worker = shop.start_worker()
    job = shop.started(shop.queue.submit(shop.behave(1, "import time; time.sleep(600)")).job)
    worker.terminate()
    assert worker.wait(10) == 0
    wait_until(lambda: not shop.stage_processes(), seconds=5)
    assert shop.queue.workers() == []
    shop.behave(1, "")
    shop.start_worker()
    assert shop.finished(job.id).state is JobState.DONE


def test_killing_worker_and_guard_together_leaves_no_process_on_the_device(shop: Shop) -> None:
    script = "import os, time\nif os.fork() == 0:\n os.setsid()\n time.sleep(600)\ntime.sleep(600)"
    worker = shop.start_worker()
    job = shop.started(shop.queue.submit(shop.behave(1, script)).job)
    wait_until(lambda: len(shop.stage_processes()) == 2)
    guards = [child for child in psutil.Process(worker.pid).children() if child.children()]
    assert len(guards) == 1
    worker.send_signal(signal.SIGSTOP)
    for process in [*guards, psutil.Process(worker.pid)]:
        process.kill()
    worker.wait()
    shop.behave(1, "")
    shop.start_worker()
    assert shop.finished(job.id).state is JobState.DONE
    assert not [entry for entry in shop.journal() if entry["event"] == "doubled"]


def test_a_frozen_worker_never_runs_its_job_beside_the_successor(shop: Shop) -> None:
    frozen = shop.start_worker("cpu:1")
    job = shop.started(shop.queue.submit(shop.behave(1, "import time; time.sleep(600)")).job)
    shop.freeze(frozen)
    wait_until(lambda: not shop.stage_processes(), seconds=10)
    shop.behave(1, "import time; time.sleep(2)")
    shop.start_worker("cpu:2")
    wait_until(lambda: [e["event"] for e in shop.journal() if e["stage"] == "build"].count("start") == 2, why=shop.output)
    frozen.send_signal(signal.SIGCONT)
    assert shop.finished(job.id).state is JobState.DONE
    assert [e["event"] for e in shop.journal() if e["stage"] == "build"] == ["start", "start", "end"]
    assert not [entry for entry in shop.journal() if entry["event"] == "doubled"]
    wait_until(lambda: {w.card.device for w in shop.queue.workers() if w.alive} == {"cpu:1", "cpu:2"}, why=shop.output)
    assert shop.finished(shop.queue.submit(shop.request(2)).job).state is JobState.DONE


def test_one_worker_a_device(shop: Shop) -> None:
    shop.start_worker()
    command = [sys.executable, "-m", "core.cli", "worker"]
    environment = {**os.environ, "ENGINEROOM_WORKSPACE": str(shop.workspace.root)}
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == InvalidRequest.exit_code
    assert "A worker for cpu:0 is running here already." in second.stderr


def test_two_workers_of_one_device_take_turns(shop: Shop, tmp_path: Path) -> None:
    """Two workspaces with a queue each, one device: its lock keeps their stages apart."""
    (shop.folder / "seconds").write_text("0.1")
    elsewhere = Workspace(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    (elsewhere.root / "models").symlink_to(shop.workspace.models)
    other = replace(shop, workspace=elsewhere, queues=[])
    for one in (shop, other):
        one.start_worker()
    jobs = [(one, one.queue.submit(one.request(seed)).job) for seed in range(3) for one in (shop, other)]
    assert {one.finished(job).state for one, job in jobs} == {JobState.DONE}
    assert not [entry for entry in shop.journal() if entry["event"] == "doubled" and entry["what"] == "cpu:0"]
    other.queue.close()


def test_workers_say_what_they_are(shop: Shop) -> None:
    process = shop.start_worker(toolchains=[("second", str(shop.python))])
    (worker,) = shop.queue.workers()
    assert worker.alive
    assert worker.card.pid == process.pid
    assert (worker.card.device, worker.card.device_type) == ("cpu:0", "cpu")
    assert [chain.name for chain in worker.card.toolchains] == ["default", "second"]
    assert worker.card.toolchains[0].python == str(shop.python)
    assert set(worker.card.versions) == {"engine-room", "code", "python", "dbos"}
    assert worker.job is None
    with pytest.raises(Unavailable, match="does not work on any running worker for 'cpu': No GPU is here"):
        shop.queue.submit(shop.request(path="onnx.tensorrt"))


def test_a_read_only_workspace_is_told_and_loses_nothing(shop: Shop) -> None:
    if os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("making a read-only mount needs root and unshare")
    job = shop.queue.submit(shop.request()).job
    root = shop.workspace.root
    script = (
        f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && "
        f"ENGINEROOM_WORKSPACE={root} {sys.executable} -m core.cli submit {shop.model[:12]} --path onnx.onnxruntime --seed 5"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == StoreFailed.exit_code, done.stderr
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr
    shop.start_worker()
    assert shop.finished(job).state is JobState.DONE


def test_a_stage_sees_no_password_and_what_it_left_half_done_is_swept(shop: Shop) -> None:
    script = """
import os, socket
half = os.path.join(folder, "..", "..", "tmp", f"artifact-x-{socket.gethostname()}.{os.getpid()}-half")
os.makedirs(half)
print(sorted(name for name in os.environ if name.startswith("ENGINEROOM_")), flush=True)
os.kill(os.getpid(), 9)
"""
    shop.start_worker()
    job = shop.finished(shop.queue.submit(shop.behave(1, script)).job)
    assert job.state is JobState.FAILED
    seen = "['ENGINEROOM_BOX', 'ENGINEROOM_EVENTS', 'ENGINEROOM_GUARD', 'ENGINEROOM_WORKSPACE']"
    assert seen in shop.queue.log(job.id).text
    assert list((shop.workspace.root / "tmp").iterdir()) == []


def test_unknown_jobs_are_told(shop: Shop) -> None:
    for call in (shop.queue.job, shop.queue.cancel, shop.queue.log, shop.queue.retry):
        with pytest.raises(NotFound, match="No job is called 'abc'"):
            call("abc")
    with pytest.raises(NotFound):
        shop.queue.job("")


def test_deleting_what_a_job_needs_is_refused(shop: Shop) -> None:
    shop.start_worker()
    job = shop.started(shop.queue.submit(shop.behave(1, "import time; time.sleep(600)")).job)
    for refuse in (lambda: shop.queue.delete_build(job.key), lambda: shop.queue.delete_model(shop.model)):
        with pytest.raises(InvalidRequest, match="needs it"):
            refuse()
    shop.queue.cancel(job.id)
    wait_until(lambda: not shop.stage_processes())
    time.sleep(0.3)
    assert shop.queue.delete_model(shop.model).freed_bytes > 0
    assert not shop.workspace.build_folder(job.key).exists()
    assert shop.workspace.all_models() == []
