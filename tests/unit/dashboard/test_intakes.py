"""Models by a path on the server: only from the allowed folder, read by a child process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest, NotFound, UnsupportedModel
from core.base.progress import Progress
from core.storage.workspace import Workspace
from dashboard.intakes import ALLOWED_FOLDER_VARIABLE, allowed_path, take_in
from sample_models.make_models import sample


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "models"
    (found / "inner").mkdir(parents=True)
    (found / "inner" / "a.onnx").touch()
    (tmp_path / "secret").touch()
    (tmp_path / "models-too").mkdir()
    monkeypatch.setenv(ALLOWED_FOLDER_VARIABLE, str(found))
    return found


def test_it_is_off_unless_a_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOWED_FOLDER_VARIABLE, raising=False)
    with pytest.raises(InvalidRequest, match="cannot be added by a path"):
        allowed_path("/")


def test_paths_inside_are_found_relative_and_absolute(folder: Path) -> None:
    assert allowed_path(" inner/a.onnx ") == folder / "inner" / "a.onnx"
    assert allowed_path(str(folder / "inner")) == folder / "inner"


@pytest.mark.parametrize("text", ["..", "../secret", "inner/../../secret", "/etc", "../models-too", "link"])
def test_no_path_leads_out(folder: Path, text: str) -> None:
    os.symlink("../secret", folder / "link")
    with pytest.raises(InvalidRequest, match="is not inside"):
        allowed_path(text)


@pytest.mark.parametrize("text", ["nothing", "a\x00b", "x" * 5000, "loop"])
def test_what_is_not_there_is_said_to_be_missing(folder: Path, text: str) -> None:
    os.symlink("loop", folder / "loop")
    with pytest.raises(NotFound):
        allowed_path(text)


def test_a_child_stores_the_model_and_tells_how_far_it_is(workspace: Workspace) -> None:
    told: list[Progress] = []
    digest = take_in(sample("digits"), name="my digits", report=told.append)
    assert workspace.model(digest).name == "my digits"
    assert told


def test_a_childs_error_is_ours(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UnsupportedModel, match="notes"):
        take_in(tmp_path / "notes.txt")
