"""What is told of a model, with nothing left behind."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.intake.add_model import add_model
from core.models.model import Model
from core.storage.workspace import Workspace


def inspect_model(path: Path, **given: Any) -> Model:
    with TemporaryDirectory() as folder:
        return add_model(path, Workspace(Path(folder)), **given)
