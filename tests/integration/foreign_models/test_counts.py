"""What a SavedModel's figures count."""

from __future__ import annotations

from pathlib import Path

from core.intake.add_model import add_model
from core.storage.workspace import Workspace


def test_what_lies_before_a_fed_tensor_is_not_counted(workspace: Workspace, tensorflow_models: Path) -> None:
    """The signature feeds what a parser of examples makes: neither that one, nor its table of 35, nor the unused 33 are in it."""
    found = add_model(tensorflow_models / "fed_inside", workspace)
    assert (found.parameters, found.frozen_bytes) == (1, 4)
    assert not {"ParseExampleV2", "ParseExample", "Sum"} & found.ops.keys()
    assert found.ops["VarHandleOp"] == 1
