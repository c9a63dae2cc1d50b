"""One process with TensorFlow makes, converts and runs every case; the tests look at what it left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core.base.errors import EngineRoomError, Failure
from core.base.serialization import read_json
from core.conversion.base import Converted

SCRIPT = Path(__file__).with_name("convert_cases.py")


@dataclass(frozen=True)
class Case:
    """What a conversion left: `converted` or `error`, and pairs of inputs with the source model's outputs."""

    folder: Path
    converted: Converted | None
    error: EngineRoomError | None
    runs: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]

    @property
    def model(self) -> Path:
        assert self.converted, self.error
        return self.folder / self.converted.entry


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    root = tmp_path_factory.mktemp("conversions")
    done = subprocess.run([sys.executable, str(SCRIPT), str(root)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]

    def find(name: str) -> Case:
        folder = root / name
        if (folder / "traceback.txt").exists():
            pytest.fail((folder / "traceback.txt").read_text())
        converted = read_json(Converted, folder / "converted.json") if (folder / "converted.json").exists() else None
        error = read_json(Failure, folder / "error.json").to_error() if (folder / "error.json").exists() else None
        runs = []
        for path in sorted(folder.glob("inputs-*.npz")):
            with np.load(path) as fed, np.load(path.with_name(path.name.replace("inputs", "outputs"))) as fetched:
                runs.append((dict(fed), dict(fetched)))
        return Case(folder=folder / "out", converted=converted, error=error, runs=runs)

    return find
