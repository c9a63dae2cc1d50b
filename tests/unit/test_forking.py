"""A fork in place of a new interpreter is a process like any other to the one that asked for it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bench.shop import wait_until
from core.base.children.call import PROGRAM
from core.base.children.events import EVENTS_VARIABLE, EndingKind
from core.base.errors import EngineRoomError, StageCrashed
from core.base.progress import silent
from core.jobs.guard import become_subreaper
from core.jobs.supervisor import GuardedChild
from core.stages.child import run_stage
from core.storage.builds import StageName
from tests.forked_process import STAGE, works_with_tensorflow
from tests.forking import PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER, Forked

pytestmark = pytest.mark.usefixtures("forked")


def core_cli(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "core.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_a_fork_tells_what_a_new_interpreter_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = {**os.environ, "ENGINEROOM_WORKSPACE": str(tmp_path)}
    forked = core_cli("inspect", "nothing.onnx", env=workspace, cwd=tmp_path)
    monkeypatch.setattr(Forked, "servers", {})
    started = core_cli("inspect", "nothing.onnx", env=workspace, cwd=tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)
    assert forked.returncode == 3


@contextmanager
def waiting_child(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """One that is asked nothing."""
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", PROGRAM, *words]
    environment = {**os.environ, EVENTS_VARIABLE: str(write_end)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, pass_fds=(write_end,)) as process:
        yield process
    os.close(read_end)
    os.close(write_end)


def test_a_fork_is_a_child_of_its_asker_and_ends_by_its_signal() -> None:
    with waiting_child(STAGE) as process:
        found = psutil.Process(process.pid)
        assert (found.ppid(), "tests.forked_process" in found.cmdline()) == (os.getpid(), True)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_a_stage_that_cannot_begin_is_told_as_ever(tmp_path: Path) -> None:
    folder = tmp_path / "builds" / "key"
    folder.mkdir(parents=True)
    with pytest.raises(EngineRoomError, match=r"request\.json") as told:
        run_stage(StageName.BUILD, folder, silent)
    assert not isinstance(told.value, StageCrashed)


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("savedmodel.tensorflow.xla", ["build", "inspect", "reference", "parity", "measure"]),
        ("savedmodel.onnx.openvino", ["convert", "reference"]),
        ("keras.savedmodel.tflite.litert", ["convert", "reference"]),
        ("tflite.onnx.onnxruntime", ["convert"]),
        ("onnx.onnxruntime", []),
    ],
)
def test_stages_that_work_with_tensorflow_are_told_by_their_path(tmp_path: Path, path: str, stages: list[str]) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"path": path}))
    every = ["convert", "build", "inspect", "reference", "parity", "measure"]
    assert [stage for stage in every if works_with_tensorflow((PROGRAM, STAGE, stage, str(tmp_path)))] == stages


@pytest.mark.parametrize(("path", "loaded"), [("savedmodel.tensorflow.xla", True), ("onnx.onnxruntime", False)])
def test_the_fork_for_such_a_stage_has_tensorflow(tmp_path: Path, path: str, loaded: bool) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"path": path}))
    with waiting_child(STAGE, "build", str(tmp_path)) as process:
        assert ("/tensorflow/" in Path(f"/proc/{process.pid}/maps").read_text()) is loaded
        assert psutil.Process(process.pid).ppid() == os.getpid()
        process.kill()


SLEEPS = ("-c", "import time; time.sleep(60)")


@pytest.mark.parametrize(("words", "forked"), [(("-m", "core.cli", "worker"), True), (SLEEPS, False)])
def test_a_guard_runs_a_program_of_ours_in_a_fork_and_starts_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], forked: bool
) -> None:
    monkeypatch.setenv("ENGINEROOM_WORKSPACE", str(tmp_path))
    limits = {"lease_seconds": 60.0, "time_seconds": 60.0, "memory_bytes": 4_000_000_000}
    before = set(psutil.Process().children())
    with (tmp_path / "log").open("wb") as log:
        guard = GuardedChild([sys.executable, *words], environment=dict(os.environ), log=log, limits=limits, fds=())
    try:
        (around,) = set(psutil.Process().children()) - before
        program = wait_until(lambda: next(iter(around.children()), None))
        wait_until(lambda: (program.cmdline()[1:] == list(words)) is not forked and program.is_running())
        assert ("tests.forked_process" in program.cmdline()) is forked
        guard.tell("cancel")
        assert guard.wait() == 0
        assert guard.ending(0).kind is EndingKind.CANCELLED
        assert not program.is_running()
    finally:
        guard.kill()


def test_who_adopts_orphans_does_so_after_a_fork_too(tmp_path: Path) -> None:
    kernel, adopts = ctypes.CDLL(None), ctypes.c_int()
    become_subreaper()
    try:
        assert core_cli("inspect", "nothing.onnx", cwd=tmp_path).returncode == 3
        kernel.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(adopts), 0, 0, 0)
        assert adopts.value == 1
    finally:
        kernel.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
