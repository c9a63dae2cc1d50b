"""What holds for every test: how the tests are shared out among processes (`pytest -n 3`), and a temporary folder for each."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from core.storage.workspace import Workspace
from tests.digits import make_once
from tests.forking import Server, fork_server, forking, how_to_start, is_forking, start_process
from tests.resnet50 import Converted, convert_once

# What takes long comes first, for nobody is to wait for it at the end. Two have a browser.
BROWSERS = ("tests/browser/test_[l-z]*.py", "tests/browser/test_[a-k]*.py")
NETWORKS = "tests/integration/backends/test_onnx_[nr]*.py"
MODELS = "tests/integration/models/*.py"
FIRST = (
    *BROWSERS,
    "tests/integration/jobs/test_worker.py",
    NETWORKS,
    "tests/integration/jobs/*.py",
    "tests/integration/conversion/*.py",
    MODELS,
    "tests/integration/test_verdicts.py",
    "tests/unit/base/test_box.py",
    "tests/contract/*.py",
)
# Files of these share what is made once a session: one process runs all of them.
TOGETHER = (*BROWSERS, NETWORKS, MODELS)


def _place(nodeid: str) -> int:
    """Which of `FIRST` holds a test's file; their number when none does."""
    file = nodeid.partition("::")[0]
    return next((place for place, pattern in enumerate(FIRST) if fnmatchcase(file, pattern)), len(FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Shares out whole files, or all files of a pattern of `TOGETHER`, in their order."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            pattern = dict(enumerate(FIRST)).get(_place(nodeid))
            return pattern if pattern in TOGETHER else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Each of several test processes has its own, and with it the locks of the devices."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        yield
        return
    folder = tempfile.mkdtemp(prefix=f"{worker}-")  # a short path: sockets go below it
    os.chmod(folder, 0o711)  # noqa: S103  Postgres runs as another user
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def leaves_starts_alone() -> Iterator[None]:
    """Names the test after which commands would be forked no more."""
    before = how_to_start()
    yield
    assert how_to_start() == before


@pytest.fixture(scope="session")
def _fork_server() -> Iterator[Server]:
    with fork_server() as server:
        yield server


@pytest.fixture(scope="module")
def forked(_fork_server: Server) -> Iterator[None]:
    """Stages and commands are forks, not new interpreters, in all of a module's tests but those that ask for `real_processes`."""
    assert subprocess.Popen is start_process, "a module before this one has left its forks"
    with forking(_fork_server):
        assert is_forking(), "a module before this one has left variables"
        yield


@pytest.fixture(scope="session")
def digits_made(tmp_path_factory: pytest.TempPathFactory, _fork_server: Server) -> Workspace:
    """The workspace of `tests/digits.py`: to be copied, not to be changed."""
    with forking(_fork_server):
        return make_once(_of_the_run(tmp_path_factory))


@pytest.fixture(scope="session")
def resnet50(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert_once(_of_the_run(tmp_path_factory))


def _of_the_run(folders: pytest.TempPathFactory) -> Path:
    """The folder that its processes share."""
    own = folders.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture
def real_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", start_process)
