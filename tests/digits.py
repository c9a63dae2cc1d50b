"""A workspace with the digits sample and a real build of it by ONNX Runtime: made once a run, copied by those who need it."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from core.benchmark.measurement import Protocol
from core.intake.add_model import add_model
from core.request.build_request import BuildRequest, checked
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import State, all_builds
from core.storage.workspace import Workspace
from sample_models.make_models import sample


def make_once(folder: Path) -> Workspace:
    """The workspace in a folder that all processes of a run share; of two that ask one makes it and the other waits."""
    workspace = Workspace(folder / "digits")
    with (folder / "digits.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all_builds(workspace):
            digits = add_model(sample("digits"), workspace)
            quick = Protocol(min_seconds=0.2, warmup_seconds=0.05)
            request = checked(BuildRequest(model=digits.digest, path="savedmodel.onnx.onnxruntime", protocol=quick), digits)
            build = run_build(workspace, request, on_change=lambda *_: None)
            assert build.state is State.DONE, build.error
    return workspace


def copy_into(workspace: Workspace, made: Workspace) -> Outcome:
    """Puts the model and its build there too."""
    shutil.copytree(made.root, workspace.root, dirs_exist_ok=True)
    (build,) = all_builds(made)
    return load_outcome(workspace, build.key)
