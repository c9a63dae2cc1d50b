"""A fork in place of a new interpreter is a process like any other to the one that asked for it."""

from __future__ import annotations

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

from core.base.children.call import PROGRAM
from core.base.children.events import EVENTS_VARIABLE
from core.base.errors import EngineRoomError, StageCrashed
from core.base.progress import silent
from core.stages.child import run_stage
from core.storage.builds import StageName
from tests.forked_process import STAGE, works_with_tensorflow
from tests.forking import Forked

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
