import subprocess
import sys
from pathlib import Path

import pytest

from core.models.model import Model
from core.storage.workspace import Workspace
from tests.integration.models.inspecting import inspect_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small real models, made by TensorFlow and Keras in a process of their own."""
    folder = tmp_path_factory.mktemp("models")
    script = Path(__file__).with_name("tensorflow_models.py")
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def inspected(models: Path, forked: None) -> dict[str, Model]:
    """What is told of those that a child process must load, which takes seconds each."""
    return {name: inspect_model(models / name) for name in ("functional.keras", "functional.h5", "sequential.keras", "frozen.pb")}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")
