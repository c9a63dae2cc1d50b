"""How a stage's process ends, and what is taken of its work then; a script plays the process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import pytest

from core.base.children.call import Process, Start, start_process
from core.base.children.events import Ending, EndingKind
from core.base.errors import Cancelled, EngineRoomError, StageCrashed, StoreFailed
from core.base.progress import silent
from core.base.serialization import write_json
from core.request.build_request import BuildRequest
from core.stages.child import LOG_FILE, Interrupted, run_stage
from core.stages.stage import Recipe
from core.storage.builds import REQUEST_FILE, StageName, result_file
from core.storage.workspace import Workspace

MODEL = "a" * 64
RECIPE = Recipe.of(MODEL, {"step": "convert"}, {})
HEAD = f"""
import json, os, signal, sys
from pathlib import Path
events = int(os.environ["ENGINEROOM_EVENTS"])
space = Path(json.loads(os.environ["ENGINEROOM_BOX"])["home"]) / "workspace"
ask = lambda line: os.write(events, json.dumps(line).encode() + b"\\n")
sys.stdin.readline()
ask({{"fetch": {{"origin": "{MODEL}", "step": {{"step": "convert"}}, "versions": {RECIPE.versions!r}}}}})
sys.stdin.readline()
made = space / "artifacts" / "{RECIPE.key}"
made.mkdir()
(made / "model.onnx").write_text("made")
for name, text in (("inspect", '{{"layers": [], "source_nodes": []}}'), ("measure", '{{"torn')):
    (space / "builds" / "build" / f"{{name}}.json").write_text(text)
"""
LINKED = '(made / "link").symlink_to("/etc")\n'
DONE, FAILED, KILLED = (
    'ask({"answer": None})',
    'ask({"error": {"kind": "BuildFailed", "message": "No."}})',
    "os.kill(os.getpid(), signal.SIGSEGV)",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = Workspace(tmp_path / "workspace").build_folder("build")
    write_json(folder / REQUEST_FILE, BuildRequest(model=MODEL, path="onnx.onnxruntime"))
    return folder


def playing(script: str) -> Start:
    def start(command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int) -> Process:
        return start_process(
            [sys.executable, "-c", HEAD + script], environment=environment, request=request, log=log, events=events
        )

    return start


def told_by_a_guard(kind: EndingKind) -> Start:
    """Of a guard that ends the process."""

    class Guarded:
        crowd = None

        def __init__(self, process: Process) -> None:
            self.poll, self.wait, self.kill = process.poll, process.wait, process.kill

        def ending(self, code: int) -> Ending:
            return Ending(kind=kind, words="was ended")

    def start(command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int) -> Process:
        return Guarded(playing(KILLED)(command, environment=environment, request=request, log=log, events=events))

    return start


def kept(folder: Path) -> tuple[bool, list[str]]:
    """Whether the artifact is kept, and which results are."""
    workspace = Workspace(folder.parent.parent)
    results = [stage.value for stage in StageName if result_file(folder, stage).exists()]
    return workspace.artifact(RECIPE.key) is not None, results


def run(stage: StageName, folder: Path, start: Start) -> None:
    run_stage(stage, folder, silent, start=start)


def test_a_stage_that_ends_well(folder: Path) -> None:
    run(StageName.INSPECT, folder, playing(DONE))
    assert kept(folder) == (True, ["inspect"])


@pytest.mark.parametrize(("end", "error"), [(FAILED, "No."), (KILLED, "SIGSEGV")])
def test_a_stage_that_fails_leaves_what_it_made_whole(folder: Path, end: str, error: str) -> None:
    """And its result only where it is written before what may crash."""
    with pytest.raises(EngineRoomError, match=error):
        run(StageName.CONVERT, folder, playing(end))
    assert kept(folder) == (True, [])
    with pytest.raises(EngineRoomError, match=error):
        run(StageName.INSPECT, folder, playing(end))
    assert kept(folder) == (True, ["inspect"])


@pytest.mark.parametrize(
    ("kind", "error"),
    [(EndingKind.CANCELLED, Cancelled), (EndingKind.LEASE, Interrupted), (EndingKind.ORPHANED, Interrupted)],
)
def test_nothing_is_taken_of_a_stage_that_was_cut_off(folder: Path, kind: EndingKind, error: type[BaseException]) -> None:
    with pytest.raises(error, match="Stage inspect was ended"):
        run(StageName.INSPECT, folder, told_by_a_guard(kind))
    assert kept(folder) == (False, [])


@pytest.mark.parametrize(("end", "error"), [(FAILED, r"^No\.$"), (KILLED, "SIGSEGV")])
def test_what_cannot_be_kept_does_not_hide_how_the_stage_ended(folder: Path, end: str, error: str) -> None:
    with pytest.raises(EngineRoomError, match=error):
        run(StageName.INSPECT, folder, playing(LINKED + end))
    assert "What the stage left was not kept: The model's process left 'link'" in (folder / LOG_FILE).read_text()
    assert kept(folder) == (False, [])
    with pytest.raises(StoreFailed, match="not a plain file"):
        run(StageName.INSPECT, folder, playing(LINKED + DONE))


def test_a_result_that_is_none_or_missing_fails_the_stage(folder: Path) -> None:
    with pytest.raises(StoreFailed, match=r"Could not read .*measure\.json"):
        run(StageName.MEASURE, folder, playing(DONE))
    with pytest.raises(StageCrashed, match="Stage parity ended without a result"):
        run(StageName.PARITY, folder, playing(DONE))


def test_a_model_cannot_tell_that_its_guard_ended_it(folder: Path) -> None:
    """Whoever could would have the worker start over, again and again."""
    for kind in EndingKind:
        told = f'ask({{"ending": {{"kind": "{kind.value}", "words": "lies"}}}})\n'
        with pytest.raises(StageCrashed, match="SIGSEGV"):
            run(StageName.CONVERT, folder, playing(told + KILLED))
