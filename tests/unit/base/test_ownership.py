"""Whose the files are: the owner's alone, or a group's too."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest
from core.base.ownership import GROUP_VARIABLE, keep_files_private, open_to_group


@pytest.fixture(autouse=True)
def umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(GROUP_VARIABLE, raising=False)
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_their_owners_alone_and_an_open_workspace_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir(mode=0o755)
    keep_files_private(root)
    (root / "models").mkdir()
    (root / "models" / "m.onnx").touch()
    assert [mode(path) for path in (root, root / "models", root / "models" / "m.onnx")] == [0o700, 0o700, 0o600]


def test_a_group_may_share_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GROUP_VARIABLE, grp.getgrgid(os.getegid()).gr_name)
    root = tmp_path / "workspace"
    keep_files_private(root)
    (root / "m.onnx").touch()
    partial = Path(tempfile.mkdtemp(dir=root))
    open_to_group(partial)
    assert [mode(path) & 0o777 for path in (root, root / "m.onnx", partial)] == [0o770, 0o660, 0o770]
    assert mode(root) & stat.S_ISGID, "what others of the group make is the group's"


def test_a_group_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GROUP_VARIABLE, "no-such-group")
    with pytest.raises(InvalidRequest, match="no-such-group"):
        keep_files_private(tmp_path)


def test_without_a_workspace_nothing_is_made(tmp_path: Path) -> None:
    keep_files_private(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_command_line_leaves_files_to_their_owner(tmp_path: Path) -> None:
    env = {**os.environ, "ENGINEROOM_WORKSPACE": str(tmp_path / "workspace")}
    command = [sys.executable, "-m", "core.cli", "inspect", "sample:digits", "--json"]
    subprocess.run(command, env=env, check=True, capture_output=True, umask=0o022)
    found = [path for path in (tmp_path / "workspace").rglob("*") if not path.is_symlink()]
    assert found
    assert [path for path in (tmp_path / "workspace", *found) if mode(path) & 0o077] == []
