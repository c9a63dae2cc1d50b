from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.storage.workspace import Workspace

SCRIPT = Path(__file__).with_name("tensorflow_models.py")


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One for all, so that conversions are made once."""
    return Workspace(tmp_path_factory.mktemp("foreign") / "workspace")


@pytest.fixture(scope="session")
def tensorflow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that one process with TensorFlow has made."""
    folder = tmp_path_factory.mktemp("foreign-tensorflow")
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder
