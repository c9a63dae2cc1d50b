from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.shop import wait_until
from core.base.children.call import Process, start_process
from core.base.errors import InvalidRequest, NotFound, StageCrashed, StoreFailed
from core.base.progress import silent
from core.base.serialization import write_json
from core.base.tensors import Signature
from core.models.model import Format, Model
from core.request.build_request import BuildRequest
from core.stages.child import run_stage
from core.storage.builds import BUILD_FILE, REQUEST_FILE, Build, StageName, StageRecord, State
from core.storage.housekeeping import collect, delete_build, delete_model, sweep_partial, unused_artifacts, usage
from core.storage.workspace import Workspace

OLD = time.time() - 7200


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    signature = Signature(name="s", inputs=(), outputs=())
    for digest in ("aa", "bb"):
        model = Model(digest=digest, name=digest, format=Format.ONNX, entry="m.onnx", signatures=(signature,), size_bytes=1)
        write_json(made.model_folder(digest) / "model.json", model)
    return made


def store_artifact(workspace: Workspace, key: str, *, size: int = 1000) -> None:
    folder = workspace.artifacts / key
    folder.mkdir(parents=True)
    (folder / "bytes").write_bytes(b"x" * size)
    os.utime(folder, (OLD, OLD))


def store_build(
    workspace: Workspace, key: str, artifacts: dict[str, str], *, model: str = "aa", finished_at: float = 1.0
) -> None:
    request = BuildRequest(model=model, path="onnx.onnxruntime")
    stages = tuple(StageRecord(stage=StageName(stage), state=State.DONE) for stage in artifacts)
    build = Build(key=key, request=request, state=State.DONE, stages=stages, created_at=0.0, finished_at=finished_at)
    write_json(workspace.build_folder(key) / BUILD_FILE, build)
    for stage, artifact in artifacts.items():
        write_json(workspace.build_folder(key) / f"{stage}.json", {"artifact": artifact})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_deleting_a_build_keeps_what_another_uses(workspace: Workspace) -> None:
    for key in ("shared", "engine1", "engine2"):
        store_artifact(workspace, key)
    store_build(workspace, "b1", {"convert": "shared", "build": "engine1"})
    store_build(workspace, "b2", {"convert": "shared", "build": "engine2"})
    done = delete_build(workspace, "b1")
    assert names(workspace.artifacts) == ["engine2", "shared"]
    assert names(workspace.builds) == ["b2"]
    assert done.freed_bytes >= 1000
    delete_build(workspace, "b2")
    assert names(workspace.artifacts) == []


def test_deleting_a_model_takes_its_builds_and_what_only_they_use(workspace: Workspace) -> None:
    for key in ("shared", "engine1", "engine2"):
        store_artifact(workspace, key)
    store_build(workspace, "b1", {"convert": "shared", "build": "engine1"}, model="aa")
    store_build(workspace, "b2", {"convert": "shared", "build": "engine2"}, model="bb")
    assert delete_model(workspace, "aa").deleted == ("model aa", "build b1")
    assert names(workspace.models) == ["bb"]
    assert names(workspace.builds) == ["b2"]
    assert names(workspace.artifacts) == ["engine2", "shared"]
    with pytest.raises(NotFound):
        delete_model(workspace, "aa")


def test_a_build_that_runs_is_not_deleted(workspace: Workspace) -> None:
    store_build(workspace, "b1", {})
    folder = workspace.build_folder("b1")
    write_json(folder / REQUEST_FILE, BuildRequest(model="m", path="onnx.onnxruntime"))

    def start(command: list[str], **more: Any) -> Process:
        """A process that does nothing for a while, under the stage's own command line."""
        stage = start_process([sys.executable, "-c", "import time; time.sleep(30)", *command[1:]], **more)
        try:
            wait_until(listed)  # a command that was just started has no words for a moment
            with pytest.raises(InvalidRequest, match="is running"):
                delete_build(workspace, "b1")
        finally:
            stage.kill()
        return stage

    def listed() -> bool:
        return any(str(folder) in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))

    with pytest.raises(StageCrashed):
        run_stage(StageName.CONVERT, folder, silent, start=start)
    delete_build(workspace, "b1")
    assert not folder.exists()


def test_the_oldest_builds_go_until_the_quota_holds(workspace: Workspace) -> None:
    for number in range(4):
        store_artifact(workspace, f"engine{number}", size=100_000)
        store_build(workspace, f"b{number}", {"build": f"engine{number}"}, finished_at=float(number))
    store_artifact(workspace, "loose", size=50_000)
    assert unused_artifacts(workspace) == ["loose"]
    before = usage(workspace)
    assert before.unused == before.removable == 50_000
    os.utime(workspace.artifacts / "loose")
    assert usage(workspace).removable == 0, "of the last hour"
    os.utime(workspace.artifacts / "loose", (1, 1))
    done = collect(workspace, quota_bytes=250_000)
    assert names(workspace.builds) == ["b2", "b3"]
    assert names(workspace.artifacts) == ["engine2", "engine3"]
    assert usage(workspace).total == before.total - done.freed_bytes <= 250_000


def test_an_artifact_that_was_made_just_now_stays(workspace: Workspace) -> None:
    store_artifact(workspace, "fresh")
    os.utime(workspace.artifacts / "fresh")
    collect(workspace)
    assert names(workspace.artifacts) == ["fresh"]


def test_partial_work_goes_when_its_process_is_gone(workspace: Workspace) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    tmp = workspace.root / "tmp"
    kept = [f"artifact-x-{socket.gethostname()}.{os.getppid()}-a", "artifact-x-otherhost.1-c"]
    gone = [f"artifact-x-{socket.gethostname()}.{ended.pid}-b", "artifact-x-otherhost.1-d"]
    for name in kept + gone:
        (tmp / name).mkdir(parents=True)
    os.utime(tmp / gone[1], (OLD - 24 * 3600, OLD - 24 * 3600))
    assert len(sweep_partial(workspace).deleted) == 2
    assert names(tmp) == sorted(kept)
    with workspace.partial_folder("mine-") as mine:
        sweep_partial(workspace)
        assert mine.is_dir()


def test_partial_work_goes_when_its_process_number_is_another_process_now(workspace: Workspace) -> None:
    """Or the same process's, as another program: a worker that starts over."""
    numbers = (os.getppid(), os.getpid())
    folders = [workspace.root / "tmp" / f"desk-{socket.gethostname()}.{number}-left" for number in numbers]
    for folder in folders:
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - 86400 * 3650,) * 2)  # both processes began later
    with workspace.partial_folder("desk-") as mine:
        assert len(sweep_partial(workspace).deleted) == 2
        assert mine.exists()
    assert not any(folder.exists() for folder in folders)


def test_partial_work_that_could_not_be_deleted_goes_later(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("core.storage.workspace.clear_away", lambda _: None)  # as where the disk is read-only
        with workspace.partial_folder("desk-") as folder:
            pass
    assert folder.exists()
    assert len(sweep_partial(workspace).deleted) == 1
    assert not folder.exists()


def test_a_full_disk_gets_room(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a folder can be made on it, to delete what is deleted out of sight."""
    store_artifact(workspace, "loose", size=50_000)

    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    assert collect(workspace).freed_bytes == 50_000
    assert names(workspace.artifacts) == []


def test_rights_that_are_missing_in_the_workspace_are_told_and_those_of_a_users_file_are_his(
    workspace: Workspace, tmp_path: Path
) -> None:
    def refused(path: Path) -> PermissionError:
        return PermissionError(13, "Permission denied", str(path))

    with pytest.raises(StoreFailed, match="could not be written: Permission denied"), workspace.partial_folder():
        raise refused(workspace.builds / "b1" / "log.txt")
    with pytest.raises(PermissionError), workspace.partial_folder():
        raise refused(tmp_path.parent / "model.onnx")
