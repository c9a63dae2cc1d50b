"""SavedModels that read, write, list and connect: each does its deed without a box, and none of them in one."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.attack.hostile_models import DEEDS, Victims, run, save
from core.base.box.box import Box
from core.base.box.walls import SANDBOX_VARIABLE, of_host
from core.base.children.call import Child, NoAnswer
from core.base.errors import EngineRoomError
from core.base.progress import Progress, Report, silent
from core.intake.take_in import take_in
from core.request.build_request import BuildRequest, checked
from core.stages.child import LOG_FILE, run_stage
from core.stages.outcome import load_outcome
from core.stages.pipeline import open_build
from core.storage.builds import StageName
from core.storage.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(not of_host().complete, reason=f"not all walls stand on this host: {of_host().words}"),
    pytest.mark.usefixtures("forked"),
]

TEXT = "x = 1\n"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A hostile model, and what it is after."""

    folder: Path
    victims: Victims
    server: socket.socket

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def reset(self) -> None:
        self.victims.program.write_text(TEXT)
        self.victims.made.unlink(missing_ok=True)
        with sqlite3.connect(self.victims.database) as connection:
            connection.execute("drop table if exists jobs")
            connection.execute("create table jobs (name)")
            connection.execute("insert into jobs values ('theirs')")

    def run(self, names: tuple[str, ...], *, boxed: bool, report: Report = silent) -> str:
        """What it printed."""
        self.reset()
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        log = self.folder / "log.txt"
        log.unlink(missing_ok=True)
        child = Child(box=Box(home=home, reads=(self.model,)) if boxed else None, log=log)
        with suppress(NoAnswer):  # TensorFlow crashes over a database that it cannot open
            child.call(run, self.model, list(names), report)
        return log.read_text()

    def rows(self) -> list[str]:
        with sqlite3.connect(self.victims.database) as connection:
            return [name for (name,) in connection.execute("select name from jobs")]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret").write_text("swordfish\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        victims = Victims(
            secret=folder / "secret",
            program=folder / "program.py",
            database=folder / "jobs.sqlite",
            port=server.getsockname()[1],
        )
        scene = Scene(folder=folder, victims=victims, server=server)
        Child().call(save, scene.model, victims)
        yield scene


@pytest.mark.usefixtures("real_processes")  # a fork's variables are those that its server was started with
def test_what_is_done_without_a_box(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINEROOM_DATABASE", "postgresql://hidden")
    log = scene.run(DEEDS, boxed=False)
    assert [name for name in DEEDS if f"DONE {name}" in log] == list(DEEDS)
    assert "root:" in log
    assert "swordfish" in log
    assert "/environ" in log
    assert "postgresql://hidden" in log
    assert scene.victims.program.read_text() == "import os\nimport os\n"
    assert scene.victims.made.exists()
    assert scene.rows() == ["theirs", "mine"]


@pytest.mark.usefixtures("real_processes")
@pytest.mark.parametrize("deeds", [DEEDS[:-2], ("read_rows",), ("insert_row",)])
def test_what_is_done_in_a_box(scene: Scene, deeds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINEROOM_DATABASE", "postgresql://hidden")
    log = scene.run(deeds, boxed=True)
    own = ("list_processes", "read_own_variables")  # it sees none, and its own
    assert [name for name in deeds if f"DONE {name}" in log] == [name for name in deeds if name in own]
    assert "postgresql" not in log
    assert not scene.victims.made.exists()
    assert "root:" not in log
    assert "swordfish" not in log
    assert not [line for line in log.splitlines() if "/environ" in line and "Permission denied" not in line]
    assert scene.victims.program.read_text() == TEXT
    assert scene.rows() == ["theirs"]


class Waited(Exception):
    """Ends the process: it tries to connect for ever."""


@pytest.mark.parametrize("boxed", [True, False])
def test_a_connection(scene: Scene, boxed: bool) -> None:
    callers = []

    def wait_for_a_call(_: Progress) -> None:
        scene.server.settimeout(4 if boxed else 60)
        with suppress(TimeoutError), scene.server.accept()[0] as caller:
            callers.append(caller.recv(3))
        raise Waited

    with pytest.raises(Waited):
        scene.run(("connect",), boxed=boxed, report=wait_for_a_call)
    assert callers == ([] if boxed else [b"PRI"])  # of HTTP/2


@pytest.mark.parametrize("sandbox", ["auto", "off"])
def test_a_stage_of_a_build(scene: Scene, sandbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploaded and run as any model is: the log that everybody sees holds the secret only where boxes are off."""
    monkeypatch.setenv(SANDBOX_VARIABLE, sandbox)
    workspace = Workspace(tmp_path / "workspace")
    model = take_in(scene.model, workspace)
    request = BuildRequest(model=model.digest, path="savedmodel.tensorflow.signature", signature="read_secret")
    build = open_build(workspace, checked(request, model))
    folder = workspace.build_folder(build.key)
    with pytest.raises(EngineRoomError, match="Permission denied") if sandbox == "auto" else nullcontext():
        run_stage(StageName.REFERENCE, folder, silent)
    assert ("swordfish" in (folder / LOG_FILE).read_text()) is (sandbox == "off")
    walls = load_outcome(workspace, build.key).walls
    assert walls is not None
    assert walls.complete is (sandbox == "auto")
